"""Chat completions."""

from __future__ import annotations

from flask import Blueprint, Response, request

from wrapper.routes.http import current_gateway, load, reply, request_id
from wrapper.routes.stream import stream_response
from wrapper.schemas.chat import CHAT_REQUEST
from wrapper.services.chat import HEARTBEAT_SECONDS
from wrapper.services.conversation import ChatRequest
from wrapper.services.liveness import connection_probe

chat = Blueprint("chat", __name__)


@chat.post("/chat/completions")
def create_completion() -> Response:
    """Answer a conversation, whole or as a stream."""
    payload: ChatRequest = load(CHAT_REQUEST)
    service, gone = current_gateway().chat, connection_probe(request.environ)
    if not payload.stream:
        answer = service.complete(payload, gone, request_id())
        cost = _cost(answer.body["usage"]["cost_usd"])
        return reply(answer.body, headers={**answer.notes, **cost})
    stream = service.stream(payload, gone, request_id())
    return stream_response(stream, heartbeat=HEARTBEAT_SECONDS, request_id=request_id())


def _cost(dollars: float | None) -> dict[str, str]:
    return {} if dollars is None else {"x-cost-usd": f"{dollars:.9f}"}
