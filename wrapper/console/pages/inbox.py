"""The inbox: tool uses and questions that wait for the visitor, and their decisions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from wrapper.console import live
from wrapper.console.answer_form import read_answers
from wrapper.console.approval_card import card_of
from wrapper.console.formats import visible
from wrapper.console.page import show as show_template
from wrapper.errors import ApiError, ApprovalDecidedBefore, ApprovalNotFound, InvalidRequest
from wrapper.routes.context import current_gateway, principal
from wrapper.schemas.approvals import APPROVAL_DECISION
from wrapper.schemas.base import load_data
from wrapper.services.approvals.approval import Approval, Decision
from wrapper.services.approvals.service import ApprovalService
from wrapper.services.workers.state import WorkerState

# What the page shows at once, the oldest first.
MOST = 20
# A turn that has run longer is worth a notification when it ends.
LONG_SECONDS = 10
LONGEST_NAME = 80
# The form's buttons, as the fields of the API's decision.
BUTTONS: Mapping[str, Mapping[str, str]] = {
    "approve": {"decision": "approve"},
    "session": {"decision": "approve", "scope": "session"},
    "deny": {"decision": "deny"},
}

inbox = Blueprint("inbox", __name__, url_prefix="/inbox")


@inbox.get("")
def show() -> Response:
    """Show what waits now; the page then follows it."""
    waiting = _pending()
    cards = [card_of(approval) for approval in waiting[:MOST]]
    values = {"cards": cards, "long_seconds": LONG_SECONDS}
    return show_template("inbox.html", values)


@inbox.get("/live")
def follow() -> Response:
    """Send as JSON what waits and which long turns run, whenever that changes."""
    return live.stream(lambda: json.dumps(_state()))


@inbox.get("/<approval_id>")
def read(approval_id: str) -> BaseResponse:
    """Show one approval, or nothing if it does not wait any more."""
    if "HX-Request" not in request.headers:
        return redirect(url_for(".show", _anchor=approval_id))
    with suppress(ApprovalNotFound):
        approval = _service().read(principal(), approval_id)
        if approval.decision is None:
            return _card(approval)
    return Response()


@inbox.post("/<approval_id>")
def decide(approval_id: str) -> BaseResponse:
    """Decide one approval, and say what has become of it where it stands."""
    if "HX-Request" in request.headers:
        return _decide_in_place(approval_id)
    _decide(_service().read(principal(), approval_id))
    return redirect(url_for(".show"), 303)


def count_waiting() -> int:
    """Return how much waits for the visitor; none while that cannot be read."""
    with suppress(ApiError):
        return len(_pending())
    return 0


def _decide_in_place(approval_id: str) -> Response:
    try:
        approval = _service().read(principal(), approval_id)
        return _outcome(_decide(approval))
    except ApprovalNotFound as error:
        return show_template("_outcome.html", {"gone": error.message})
    except ApprovalDecidedBefore:
        return _outcome(_service().read(principal(), approval_id), late=True)
    except InvalidRequest as error:
        return _mistake(approval, error)


def _decide(approval: Approval) -> Approval:
    button = request.form.get("decision", "")
    sent: dict[str, Any] = {**BUTTONS.get(button, {"decision": button})}
    if button == "deny":
        sent["reason"] = request.form.get("reason", "").strip()
    elif (answers := read_answers(approval, request.form)) is not None:
        sent["answers"] = answers
    decision: Decision = load_data(APPROVAL_DECISION, sent)
    return _service().decide(principal(), approval.id, replace(decision, by=principal().name))


def _card(approval: Approval) -> Response:
    return show_template("_approval.html", {"card": card_of(approval)})


def _outcome(approval: Approval, *, late: bool = False) -> Response:
    values = {"approval": approval, "late": late}
    return show_template("_outcome.html", values)


def _mistake(approval: Approval, error: ApiError) -> Response:
    """Say what is wrong in the form, which keeps what the person has written."""
    response = show_template("_mistake.html", {"mistake": error.message})
    response.headers["HX-Retarget"] = f"#{approval.id}-mistake"
    response.headers["HX-Reswap"] = "innerHTML"
    return response


def _state() -> dict[str, Any]:
    """Return what the pages follow: what waits, and the long turns of the workers that are seen."""
    waiting = _pending()
    workers: list[WorkerState] = current_gateway().workers.states()
    return {
        "count": len(waiting),
        "waiting": [[each.id, visible(each.tool)[:LONGEST_NAME]] for each in waiting[:MOST]],
        "workers": [worker.id for worker in workers],
        "long": [
            f"{worker.id}:{each.number}"
            for worker in workers
            for each in worker.requests
            if each.runs and each.owner == principal().name and each.seconds >= LONG_SECONDS
        ],
    }


def _pending() -> Sequence[Approval]:
    return _service().pending(principal())


def _service() -> ApprovalService:
    service: ApprovalService = current_gateway().stores.approvals
    return service
