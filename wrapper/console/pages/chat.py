"""Chat with a model. The page asks views of the API, behind the console's own checks."""

from __future__ import annotations

from flask import Blueprint, Response, request, url_for

from wrapper.console.page import show as show_template
from wrapper.routes.chat import create_completion
from wrapper.routes.context import current_gateway, principal
from wrapper.routes.error_handlers import CHAT_ENDPOINT, register_error_handlers
from wrapper.routes.json_body import BODY_BYTES
from wrapper.routes.models import models_of
from wrapper.routes.sessions import read_session
from wrapper.routes.tools import list_tools
from wrapper.schemas.request import EFFORTS
from wrapper.schemas.sessions import LONGEST_ID
from wrapper.services.sessions.service import SessionService

# Sessions that the page offers, those used last first.
MOST_SESSIONS = 50

chat = Blueprint("chat", __name__, url_prefix="/chat")
# The browser has a cookie in place of a key; errors have the API's shape, for the page's script.
api = Blueprint("api", __name__)
register_error_handlers(api)
api.add_url_rule("/completions", view_func=create_completion, methods=["POST"])
api.add_url_rule("/sessions/<session_id>", view_func=read_session)
api.add_url_rule("/tools", view_func=list_tools)
chat.register_blueprint(api)


@chat.get("")
def show() -> Response:
    """Show the page, with the session that the query names."""
    gateway, who = current_gateway(), principal()
    plain_only = who.profile == "plain"
    values = {
        "models": models_of(gateway, who),
        "model": gateway.settings.default_model,
        "profiles": ["plain"] if plain_only else ["agent", "plain"],
        "profile": "plain" if plain_only else gateway.settings.default_profile,
        "efforts": EFFORTS,
        "has_sessions": gateway.stores.sessions is not None,
        "sessions": _session_ids(gateway.stores.sessions),
        "session": request.args.get("session", "")[:LONGEST_ID],
        "longest_id": LONGEST_ID,
        "body_bytes": BODY_BYTES,
        "api_url": url_for(CHAT_ENDPOINT, _external=True),
    }
    return show_template("chat.html", values)


def _session_ids(service: SessionService | None) -> list[str]:
    infos = service.heads(principal()) if service else []
    latest = sorted(infos, key=lambda info: info.used, reverse=True)
    return [info.key.id for info in latest[:MOST_SESSIONS]]
