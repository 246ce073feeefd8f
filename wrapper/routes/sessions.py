"""The caller's sessions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, request

from wrapper.errors import InvalidRequest
from wrapper.routes.context import current_gateway, principal
from wrapper.routes.operation import operation
from wrapper.routes.responses import reply
from wrapper.schemas.base import load_data
from wrapper.schemas.sessions import (
    PAGE,
    SESSION_PATH,
    PageSchema,
    SessionDeletedSchema,
    SessionListSchema,
    SessionMessagesSchema,
    SessionPathSchema,
    SessionStatsSchema,
)
from wrapper.services.sessions.presenter import transcribe
from wrapper.services.sessions.service import SessionService
from wrapper.services.sessions.session import SessionInfo

sessions = Blueprint("sessions", __name__)


@sessions.get("/sessions")
@operation(query=PageSchema, answers={200: SessionListSchema}, errors=(503,))
def list_sessions() -> Response:
    """List the caller's sessions, in the order in which they were begun."""
    page = load_data(PAGE, request.args.to_dict())
    heads = _service().heads(principal())
    shown = heads[page.offset : page.offset + page.limit]
    return reply({"sessions": [_body(head) for head in shown], "total": len(heads)})


@sessions.get("/sessions/stats")
@operation(answers={200: SessionStatsSchema}, errors=(400, 503))
def read_stats() -> Response:
    """Tell what the caller's sessions come to."""
    stats = _service().stats(principal())
    used = stats.usage
    prompt = used.input + used.cache_read + used.cache_creation
    return reply(
        {
            "sessions": stats.sessions,
            "turns": stats.turns,
            "prompt_tokens": prompt,
            "cached_tokens": used.cache_read,
            "completion_tokens": used.output,
            "reasoning_tokens": used.reasoning,
            "total_tokens": prompt + used.output,
            "cost_usd": round(stats.cost_usd, 9),
            "oldest": _time(stats.oldest),
            "newest": _time(stats.newest),
            "parked_processes": stats.parked,
            "resumed_turns": stats.resumed,
        }
    )


@sessions.get("/sessions/<session_id>")
@operation(places=SessionPathSchema, answers={200: SessionMessagesSchema}, errors=(503,))
def read_session(session_id: str) -> Response:
    """Tell of one session, with all that was said."""
    session = _service().read(principal(), _checked(session_id))
    messages = [transcribe(message) for message in session.messages]
    return reply({**_body(session.head), "messages": messages})


@sessions.delete("/sessions/<session_id>")
@operation(places=SessionPathSchema, answers={200: SessionDeletedSchema}, errors=(503,))
def delete_session(session_id: str) -> Response:
    """Forget a session; a turn of it that runs goes on, and is not remembered."""
    _service().delete(principal(), _checked(session_id))
    return reply({"session_id": session_id, "deleted": True})


def _service() -> SessionService:
    service: SessionService | None = current_gateway().sessions
    if service is None:
        raise InvalidRequest("This gateway keeps no sessions (SESSION_STORE=none).")
    return service


def _checked(session_id: str) -> str:
    id_: str = load_data(SESSION_PATH, {"session_id": session_id})["session_id"]
    return id_


def _body(head: SessionInfo) -> dict[str, Any]:
    expires = head.used + current_gateway().settings.session_ttl
    return {
        "session_id": head.key.id,
        "created_at": _time(head.created),
        "last_accessed": _time(head.used),
        "message_count": head.messages,
        "expires_at": _time(expires),
    }


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
