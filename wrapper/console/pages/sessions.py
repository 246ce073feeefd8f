"""The caller's sessions, or for admins those of all keys: search, read and delete them."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from wrapper.console.listed import key_of, list_query
from wrapper.console.page import show as show_template
from wrapper.console.page import wants_part
from wrapper.console.transcript import entries
from wrapper.errors import InvalidRequest
from wrapper.routes.context import current_gateway, principal
from wrapper.schemas.base import load_data
from wrapper.schemas.sessions import SESSION_PATH
from wrapper.services.sessions.presenter import transcribe
from wrapper.services.sessions.service import SessionService
from wrapper.services.sessions.session import SessionInfo

# Sessions on one page of the list.
MOST = 50

sessions = Blueprint("sessions", __name__, url_prefix="/sessions")


@sessions.get("")
def show() -> Response:
    """List the sessions, those used last first, or those that the query names."""
    service: SessionService | None = current_gateway().stores.sessions
    if service is None:
        return show_template("sessions_off.html")
    query = list_query(MOST)
    listing = service.find(principal(), query)
    values = {
        "query": query,
        "listing": listing,
        "rows": [_row(info) for info in listing.rows],
    }
    if wants_part():
        return show_template("_sessions.html", values)
    return show_template("sessions.html", {**values, "stats": service.stats(principal())})


@sessions.get("/session")
def read() -> Response:
    """Show one session with its messages."""
    session = _service().read(principal(), _id(request.args.get("id", "")), key_of(request.args))
    messages = entries(transcribe(message) for message in session.messages)
    return show_template("session.html", {"session": _row(session.head), "messages": messages})


@sessions.post("/delete")
def delete() -> BaseResponse:
    """Delete one session; a turn of it that runs is not stored any more."""
    _service().delete(principal(), _id(request.form.get("id", "")), key_of(request.form))
    if wants_part():
        return Response()
    return redirect(url_for(".show"), 303)


def _service() -> SessionService:
    service: SessionService | None = current_gateway().stores.sessions
    if service is None:
        raise InvalidRequest("This gateway stores no sessions (SESSION_STORE=none).")
    return service


def _id(sent: str) -> str:
    id_: str = load_data(SESSION_PATH, {"session_id": sent})["session_id"]
    return id_


def _row(info: SessionInfo) -> dict[str, Any]:
    return {
        "id": info.key.id,
        "owner": info.key.owner,
        "messages": info.messages,
        "turns": info.turns,
        "tokens": info.usage.total,
        "cost_usd": info.cost_usd,
        "created": info.created,
        "used": info.used,
        "expires": info.used + current_gateway().settings.session_ttl,
    }
