"""The overview: how the gateway is, what it does right now, and what needs attention."""

from __future__ import annotations

import time
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from wrapper.console import live
from wrapper.console.advice import problems_of, status_of
from wrapper.console.approval_card import visible
from wrapper.console.page import show as show_template
from wrapper.errors import Conflict
from wrapper.routes.context import current_gateway, principal
from wrapper.routes.error_handlers import CHAT_ENDPOINT
from wrapper.services import resources
from wrapper.services.limits.admission import Admitted

# What /health reports of a part, in words.
PART_NAMES = {
    "machine": "Memory and files",
    "keys": "Keys file",
    "mcp_config": "MCP servers",
    "usage": "Record of spending",
    "sessions": "Sessions",
    "responses": "Responses",
}
RATE_NAMES = {"requests": "Requests", "tokens": "Tokens"}

overview = Blueprint("overview", __name__)


@overview.get("")
def show() -> Response:
    """Show the state as it is now; the page then follows it."""
    return show_template("overview.html", _state())


@overview.get("/live")
def follow() -> Response:
    """Send the state whenever it changes."""
    return live.stream(lambda: render_template("console/_overview.html", **_state()))


@overview.post("/stop")
def stop() -> BaseResponse:
    """Stop a turn that runs or waits: the caller's own, or as an admin anybody's."""
    if _workers() > 1:
        raise Conflict("Turns can only be stopped where the gateway has one worker.")
    number = request.form.get("number", 0, int)
    if not current_gateway().admission.stop(number, principal()):
        raise Conflict("This turn has ended already.")
    if "HX-Request" in request.headers:
        return show_template("_overview.html", _state())
    return redirect(url_for(".show"), 303)


def _state() -> dict[str, Any]:
    gateway = current_gateway()
    health = gateway.health()
    return {
        "status": status_of(health, draining=gateway.lifecycle.drains()),
        "problems": problems_of(health),
        "turns": health["turns"],
        "most_waiting": gateway.settings.max_queue,
        "requests": [_row(each) for each in gateway.admission.requests() if _may_see(each)],
        "workers": _workers(),
        "pools": health.get("pools", {}),
        "warm_up": health.get("warm_up", {}),
        "recycled": (recycled := health.get("recycled", 0)),
        "parked": health.get("parked", 0) - recycled,
        "parts": [(PART_NAMES[name], health[name]) for name in PART_NAMES if name in health],
        "rates": [(RATE_NAMES[rate.what], rate) for rate in gateway.rates.notes(principal()).rates],
        "machine": resources.machine_state() if principal().admin else None,
        "chat_url": url_for(CHAT_ENDPOINT, _external=True),
    }


def _may_see(each: Admitted) -> bool:
    return principal().admin or each.owner == principal().name


def _row(each: Admitted) -> dict[str, Any]:
    """Return what the page shows of a request; no more than its caller's own words for its id."""
    activity = "is being stopped" if each.stopped else each.activity or "begins"
    return {
        "number": each.number,
        "owner": each.owner,
        "request_id": each.request_id,
        "runs": each.runs,
        "stopped": each.stopped,
        "activity": visible(activity) if each.runs else "waits for a place",
        "began": round(time.time() - each.seconds),
        "seconds": each.seconds,
        "turns": each.turns,
    }


def _workers() -> int:
    return int(current_gateway().lifecycle.workers)
