"""Chat completions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response

from wrapper.routes.context import admit_caller, current_gateway
from wrapper.routes.headers import ANSWER, note_headers
from wrapper.routes.json_body import load
from wrapper.routes.json_response import reply
from wrapper.routes.operation import operation
from wrapper.routes.sse import Stream, open_stream, stream_response
from wrapper.schemas import answer_examples, examples
from wrapper.schemas.chat.request import CHAT_REQUEST
from wrapper.schemas.chat.response import ChunkSchema, CompletionSchema
from wrapper.services.fronts.chat import ChatPresenter
from wrapper.services.principal import Caller
from wrapper.services.request import TurnRequest
from wrapper.services.turns.service import TurnService

chat = Blueprint("chat", __name__)


@dataclass(frozen=True)
class Completion:
    """A whole completion. `notes`, by header name, say where it is not quite what was asked for."""

    body: dict[str, Any]
    notes: dict[str, str]

    @property
    def text(self) -> str:
        """Return the text of the first choice; it is empty if that refuses or calls functions."""
        return self.body["choices"][0]["message"]["content"] or ""


@chat.post("/chat/completions")
@operation(
    body=CHAT_REQUEST,
    examples=examples.CHAT,
    answers={200: CompletionSchema},
    answer=answer_examples.CHAT,
    stream=ChunkSchema,
    event=answer_examples.CHAT_EVENT,
    errors=(401, 404, 409, 429, 502, 503, 504),
    headers=ANSWER,
    turns=True,
)
def create_completion() -> Response:
    """Answer a conversation, whole or as a stream."""
    who, gateway = admit_caller(), current_gateway()
    payload: TurnRequest = load(gateway.schemas.chat)
    if payload.stream:
        return stream_response(stream(gateway.chat_service, payload, who))
    completion = complete(gateway.chat_service, payload, who)
    return reply(completion.body, headers=completion.notes)


def complete(service: TurnService, request: TurnRequest, caller: Caller) -> Completion:
    """Return the whole completion. Raises ApiError."""
    with service.open(request, caller) as run:
        body = ChatPresenter.of(request, note_headers).whole(run)
    return Completion(body, note_headers(run.notes()))


def stream(service: TurnService, request: TurnRequest, caller: Caller) -> Stream:
    """Return the completion as a stream, which must be closed. Raises ApiError."""
    return open_stream(service.open(request, caller), ChatPresenter.of(request, note_headers))
