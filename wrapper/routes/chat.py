"""Chat completions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response

from wrapper.routes.context import admit_caller, current_gateway
from wrapper.routes.json_body import load
from wrapper.routes.operation import operation
from wrapper.routes.responses import reply
from wrapper.routes.sse import Stream, open_stream, stream_response
from wrapper.schemas.chat.request import CHAT_REQUEST
from wrapper.schemas.chat.response import ChunkSchema, CompletionSchema
from wrapper.services.fronts.chat import ChatPresenter
from wrapper.services.principal import Caller
from wrapper.services.request import ChatRequest
from wrapper.services.turns.service import TurnService

RATES = {
    "x-ratelimit-limit-requests": "The requests a minute that the caller's key may make.",
    "x-ratelimit-remaining-requests": "How many of them are left.",
    "x-ratelimit-reset-requests": "When they are all there again.",
    "x-ratelimit-limit-tokens": "The tokens a minute that the caller's key may use.",
    "x-ratelimit-remaining-tokens": "How many of them are left.",
    "x-ratelimit-reset-tokens": "When they are all there again.",
}
TIMING = {
    "server-timing": "What its parts took, in milliseconds, as far as is known when it is sent."
}
HEADERS = {
    "x-cost-usd": "What the turns cost in dollars, where that is known and not streamed.",
    "x-model-remapped": "The retired model that was asked for, where another ran for it.",
    "x-ignored-params": "The parameters that the request set and that had no effect.",
    "x-clamped-params": "The parameters that were sent as the nearest that the model takes.",
    "x-adapted-params": "The parameters that the model gets in another form, or only in words.",
    "x-adapted-messages": "What of the messages, by paths, the model gets in another form.",
    "x-retried-params": "The parameters for which it was asked once more; see `notes` in streams.",
    "x-ended-early": "insufficient_quota, if the key's budget ran out before the turn was over.",
    "x-unmet-params": "The parameters that the answer does not do what they ask for.",
    "x-resized-images": "The pictures, by their paths, that the model gets smaller than sent.",
    "x-corrected-files": "The pictures and files, by their paths, whose bytes are of another type "
    "than they said, and pictures with a wrong checksum in their metadata.",
    "idempotent-replayed": "Whether this is the remembered answer to what was sent before.",
    **TIMING,
    **RATES,
}

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
    answers={200: CompletionSchema},
    stream=ChunkSchema,
    errors=(401, 404, 409, 429, 502, 503, 504),
    headers=HEADERS,
    turns=True,
)
def create_completion() -> Response:
    """Answer a conversation, whole or as a stream."""
    who, gateway = admit_caller(), current_gateway()
    payload: ChatRequest = load(gateway.chat_schema)
    if payload.stream:
        return stream_response(stream(gateway.chat_service, payload, who))
    answer = complete(gateway.chat_service, payload, who)
    cost = _cost(answer.body["usage"]["cost_usd"])
    return reply(answer.body, headers={**answer.notes, **cost})


def complete(service: TurnService, request: ChatRequest, caller: Caller) -> Completion:
    """Return the whole completion. Raises ApiError."""
    with service.open(request, caller) as run:
        body = ChatPresenter.of(request).whole(run)
    return Completion(body, run.report())


def stream(service: TurnService, request: ChatRequest, caller: Caller) -> Stream:
    """Return the completion as a stream, which must be closed. Raises ApiError."""
    return open_stream(service.open(request, caller), ChatPresenter.of(request))


def _cost(dollars: float | None) -> dict[str, str]:
    return {} if dollars is None else {"x-cost-usd": f"{dollars:.9f}"}
