"""Chat completions."""

from __future__ import annotations

from flask import Blueprint, Response, request

from wrapper.routes.http import current_gateway, load, principal, reply, request_id
from wrapper.routes.stream import stream_response
from wrapper.schemas.chat import CHAT_REQUEST
from wrapper.services.chat import HEARTBEAT_SECONDS, Caller
from wrapper.services.conversation import ChatRequest
from wrapper.services.liveness import connection_probe

chat = Blueprint("chat", __name__)


@chat.post("/chat/completions")
def create_completion() -> Response:
    """Answer a conversation, whole or as a stream."""
    payload: ChatRequest = load(CHAT_REQUEST)
    service = current_gateway().chat
    caller = Caller(principal(), request_id(), connection_probe(request.environ))
    if not payload.stream:
        answer = service.complete(payload, caller)
        cost = _cost(answer.body["usage"]["cost_usd"])
        return reply(answer.body, headers={**answer.notes, **cost})
    stream = service.stream(payload, caller)
    return stream_response(stream, heartbeat=HEARTBEAT_SECONDS, request_id=request_id())


def _cost(dollars: float | None) -> dict[str, str]:
    return {} if dollars is None else {"x-cost-usd": f"{dollars:.9f}"}
