"""The Responses API."""

from __future__ import annotations

from dataclasses import replace

from flask import Blueprint, Response

from wrapper.notes import Notes
from wrapper.routes.context import admit_caller, current_gateway
from wrapper.routes.headers import ANSWER, note_headers
from wrapper.routes.json_body import load
from wrapper.routes.json_response import reply
from wrapper.routes.located import located_errors
from wrapper.routes.operation import operation
from wrapper.routes.sse import TYPED, open_stream, stream_response
from wrapper.schemas import examples
from wrapper.schemas.responses.request import RESPONSE_REQUEST
from wrapper.schemas.responses.response import ResponseEventSchema, ResponseSchema
from wrapper.services.fronts.response_encoder import ResponseEncoder
from wrapper.services.fronts.responses import ResponseRequest, ResponsesPresenter

responses = Blueprint("responses", __name__)


@responses.post("/responses")
@operation(
    body=RESPONSE_REQUEST,
    examples=examples.RESPONSES,
    answers={200: ResponseSchema},
    stream=ResponseEventSchema,
    errors=(401, 404, 409, 429, 502, 503, 504),
    headers=ANSWER,
    turns=True,
)
def create_response() -> Response:
    """Answer a conversation, whole or as a stream of events."""
    who, gateway = admit_caller(), current_gateway()
    payload: ResponseRequest = load(gateway.responses_schema)

    def name_notes(notes: Notes) -> dict[str, str]:
        return note_headers(notes.relocated(payload.locate))

    presenter = ResponsesPresenter(payload, name_notes)
    with located_errors(payload.locate):
        run = gateway.chat_service.open(payload.request, who)
        if payload.request.stream:
            framing = replace(TYPED, encode=ResponseEncoder(payload.repeated).encode)
            return stream_response(open_stream(run, presenter, name_notes, framing))
        with run:
            body = presenter.whole(run)
        return reply(body, headers=name_notes(run.notes()))
