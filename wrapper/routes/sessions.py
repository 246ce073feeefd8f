"""The routes of the caller's sessions."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from wrapper.errors import InvalidRequest
from wrapper.routes.context import current_gateway, principal
from wrapper.routes.json_response import iso_time, reply
from wrapper.routes.operation import operation
from wrapper.schemas import answer_examples
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
from wrapper.services.sessions.service import SessionService, Stats
from wrapper.services.sessions.session import SessionInfo

sessions = Blueprint("sessions", __name__)


@sessions.get("/sessions")
@operation(
    query=PageSchema,
    answers={200: SessionListSchema},
    answer=answer_examples.SESSIONS,
    errors=(503,),
)
def list_sessions() -> Response:
    """List the caller's sessions, oldest first."""
    page = load_data(PAGE, request.args.to_dict())
    infos = _service().heads(principal())
    shown = infos[page.offset : page.offset + page.limit]
    return reply({"sessions": [_info_body(info) for info in shown], "total": len(infos)})


@sessions.get("/sessions/stats")
@operation(
    answers={200: SessionStatsSchema}, answer=answer_examples.SESSION_STATS, errors=(400, 503)
)
def read_stats() -> Response:
    """Report totals over the caller's sessions."""
    return reply(_stats_body(_service().stats(principal())))


@sessions.get("/sessions/<session_id>")
@operation(
    path=SessionPathSchema,
    answers={200: SessionMessagesSchema},
    answer=answer_examples.SESSION,
    errors=(503,),
)
def read_session(session_id: str) -> Response:
    """Return one session with all of its messages."""
    session = _service().read(principal(), _valid_id(session_id))
    messages = [transcribe(message) for message in session.messages]
    return reply({**_info_body(session.head), "messages": messages})


@sessions.delete("/sessions/<session_id>")
@operation(
    path=SessionPathSchema,
    answers={200: SessionDeletedSchema},
    answer=answer_examples.SESSION_DELETED,
    errors=(503,),
)
def delete_session(session_id: str) -> Response:
    """Delete a session. A running turn of it continues, and is not stored."""
    _service().delete(principal(), _valid_id(session_id))
    return reply({"session_id": session_id, "deleted": True})


def _service() -> SessionService:
    service: SessionService | None = current_gateway().stores.sessions
    if service is None:
        raise InvalidRequest("This gateway stores no sessions (SESSION_STORE=none).")
    return service


def _valid_id(session_id: str) -> str:
    id_: str = load_data(SESSION_PATH, {"session_id": session_id})["session_id"]
    return id_


def _info_body(info: SessionInfo) -> dict[str, Any]:
    expires = info.used + current_gateway().settings.session_ttl
    return {
        "session_id": info.key.id,
        "created_at": iso_time(info.created),
        "last_accessed": iso_time(info.used),
        "message_count": info.messages,
        "expires_at": iso_time(expires),
    }


def _stats_body(stats: Stats) -> dict[str, Any]:
    usage = stats.usage
    return {
        "sessions": stats.sessions,
        "turns": stats.turns,
        "prompt_tokens": usage.prompt,
        "cached_tokens": usage.cache_read,
        "completion_tokens": usage.output,
        "reasoning_tokens": usage.reasoning,
        "total_tokens": usage.total,
        "cost_usd": round(stats.cost_usd, 9),
        "oldest": iso_time(stats.oldest),
        "newest": iso_time(stats.newest),
        "parked_processes": stats.parked,
        "resumed_turns": stats.resumed,
    }
