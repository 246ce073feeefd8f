"""Anthropic's Messages API."""

from __future__ import annotations

from dataclasses import replace

from flask import Blueprint, Response, request

from wrapper.errors import UnknownUrl
from wrapper.routes.context import admit_caller, current_gateway, request_id
from wrapper.routes.headers import ANSWER, COMMON, MESSAGE_REQUEST_ID, note_headers
from wrapper.routes.json_body import load
from wrapper.routes.json_response import reply
from wrapper.routes.operation import operation
from wrapper.routes.sse import TYPED, open_stream, stream_response
from wrapper.schemas import answer_examples, examples
from wrapper.schemas.messages.request import MESSAGE_REQUEST
from wrapper.schemas.messages.response import MessageAnswerSchema, MessageEventSchema
from wrapper.services.engine import takes_bodies
from wrapper.services.fronts.message_betas import ignored_betas
from wrapper.services.fronts.message_errors import OVERLOADED_STATUS
from wrapper.services.fronts.messages import MessagesPresenter
from wrapper.services.request import TurnRequest

messages = Blueprint("messages", __name__)


@messages.post("/messages")
@operation(
    body=MESSAGE_REQUEST,
    examples=examples.MESSAGES,
    answers={200: MessageAnswerSchema},
    answer=answer_examples.MESSAGE,
    stream=MessageEventSchema,
    event=answer_examples.MESSAGE_EVENT,
    errors=(401, 404, 429, 502, 503, 504, OVERLOADED_STATUS),
    headers={**ANSWER, MESSAGE_REQUEST_ID: COMMON[MESSAGE_REQUEST_ID]},
    turns=True,
)
def create_message() -> Response:
    """Answer a conversation in the form of the model's own API, whole or as a stream of events."""
    who, gateway = admit_caller(), current_gateway()
    if not takes_bodies(gateway.engine):
        raise UnknownUrl("This gateway's engine does not serve the Messages API.")
    payload: TurnRequest = load(gateway.schemas.messages)
    betas = request.headers.get("anthropic-beta", "")
    ignored = ignored_betas(betas, gateway.settings.messages_betas)
    payload = replace(payload, idle=(*payload.idle, *ignored))
    presenter = MessagesPresenter(request_id())
    run = gateway.chat_service.open(payload, who)
    if payload.stream:
        return stream_response(open_stream(run, presenter, framing=TYPED))
    with run:
        body = presenter.whole(run)
    return reply(body, headers=note_headers(run.notes()))
