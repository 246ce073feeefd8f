"""OpenAI's older completions API."""

from __future__ import annotations

from flask import Blueprint, Response

from wrapper.notes import Notes
from wrapper.routes.context import admit_caller, current_gateway
from wrapper.routes.headers import ANSWER, note_headers
from wrapper.routes.json_body import load
from wrapper.routes.json_response import reply
from wrapper.routes.located import located_errors
from wrapper.routes.operation import operation
from wrapper.routes.sse import open_stream, stream_response
from wrapper.schemas import answer_examples, examples
from wrapper.schemas.completions.request import COMPLETION_REQUEST
from wrapper.schemas.completions.response import TextCompletionSchema
from wrapper.services.fronts.completions import CompletionRequest, CompletionsPresenter, locate

completions = Blueprint("completions", __name__)


@completions.post("/completions")
@operation(
    body=COMPLETION_REQUEST,
    examples=examples.COMPLETIONS,
    answers={200: TextCompletionSchema},
    answer=answer_examples.COMPLETION,
    stream=TextCompletionSchema,
    event=answer_examples.COMPLETION_EVENT,
    errors=(401, 404, 409, 429, 502, 503, 504),
    headers=ANSWER,
    turns=True,
)
def create_text_completion() -> Response:
    """Answer prompts, whole or as a stream."""
    who, gateway = admit_caller(), current_gateway()
    payload: CompletionRequest = load(gateway.schemas.completions)
    presenter = CompletionsPresenter(payload, _name_notes)
    with located_errors(locate):
        run = gateway.chat_service.open(payload.request, who)
        if payload.request.stream:
            return stream_response(open_stream(run, presenter, _name_notes))
        with run:
            body = presenter.whole(run)
        return reply(body, headers=_name_notes(run.notes()))


def _name_notes(notes: Notes) -> dict[str, str]:
    return note_headers(notes.relocated(locate))
