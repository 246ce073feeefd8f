"""The overview: how the gateway is, what it does right now, and what needs attention."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, render_template, url_for

from wrapper.console import live
from wrapper.console.advice import problems_of, status_of
from wrapper.console.page import show as show_template
from wrapper.routes.context import current_gateway, principal
from wrapper.routes.error_handlers import CHAT_ENDPOINT

# What /health reports of a part, in words.
PART_NAMES = {
    "machine": "Memory and files",
    "keys": "Keys file",
    "mcp_config": "MCP servers",
    "usage": "Record of spending",
    "sessions": "Sessions",
    "responses": "Responses",
}

overview = Blueprint("overview", __name__)


@overview.get("")
def show() -> Response:
    """Show the state as it is now; the page then follows it."""
    return show_template("overview.html", _state())


@overview.get("/live")
def follow() -> Response:
    """Send the state whenever it changes."""
    return live.stream(lambda: render_template("console/_overview.html", **_state()))


def _state() -> dict[str, Any]:
    gateway = current_gateway()
    health = gateway.health()
    return {
        "status": status_of(health, draining=gateway.lifecycle.drains()),
        "problems": problems_of(health),
        "turns": health["turns"],
        "requests": _requests(gateway),
        "pools": health.get("pools", {}),
        "warm_up": health.get("warm_up", {}),
        "parked": health.get("parked", 0),
        "parts": [(PART_NAMES[name], health[name]) for name in PART_NAMES if name in health],
        "chat_url": url_for(CHAT_ENDPOINT, _external=True),
    }


def _requests(gateway: Any) -> list[Any]:
    """Return the running and waiting requests that the caller may see."""
    requests = gateway.admission.requests()
    return [one for one in requests if principal().admin or one.owner == principal().name]
