"""The approvals of calls that end stored responses: listed, and settled by the next request."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence

from wrapper.errors import Unavailable
from wrapper.json_text import Json
from wrapper.services.approvals.approval import Approval, Asker, Decision, ToolRequest
from wrapper.services.approvals.preview import LONGEST_INPUT, is_too_large
from wrapper.services.approvals.service import ApprovalService
from wrapper.services.messages.items import Item
from wrapper.services.messages.past_call import is_object
from wrapper.services.tools.mcp import tool_named
from wrapper.services.turn import ToolCall

ANSWER = "mcp_approval_response"
ANSWERED = Decision("withdrawn", reason="The next request has answered it.")

log = logging.getLogger(__name__)


class CallApprovals:
    """Keeps the approvals in *service*."""

    def __init__(self, service: ApprovalService):
        self._service = service

    def offer(self, owner: str, request_id: str, response: Json) -> None:
        """List the calls that a stored *response* asks about.

        Where the store cannot be reached none is listed: the next request can still answer them.
        """
        if response["status"] == "failed":  # nothing continues it
            return
        asker = Asker(owner, request_id, response_id=response["id"])
        try:
            for id_, request in _requests(response["output"]):
                self._service.keep(id_, asker, request)
        except Unavailable as error:
            log.warning("calls of %s wait for approval unlisted: %s", response["id"], error)

    def settle(
        self, owner: str, before: Iterable[Item], own: Sequence[Json]
    ) -> tuple[list[Json], Sequence[Json]]:
        """Return the answers that were decided on, and a request's *own* items.

        Calls of the items *before* that the request does not answer get what was decided on them. A
        recorded denial takes the place of the request's own answer. Raises Unavailable.
        """
        answered = {item["approval_request_id"] for item in own if _is_answer(item)}
        missing = [id_ for id_ in _unanswered(before) if id_ not in answered]
        if not missing and not answered:
            return [], own
        kept = {approval.id: approval for approval in self._service.kept(owner)}
        decided = {id_: decision for id_ in missing if (decision := _decision(kept.get(id_)))}
        if len(decided) < len(missing):  # the request is refused
            return [], own
        decisions = {id_: self._withdraw(kept[id_]) for id_ in answered & kept.keys()}
        answers = [_answer(id_, decision) for id_, decision in decided.items()]
        return answers, [_denied(item, decisions) for item in own]

    def _withdraw(self, approval: Approval) -> Decision:
        """Return how *approval* ended, now at the latest, since the request answers it itself."""
        decision = approval.decision
        if decision is None or decision.outcome == "expired":
            return self._service.withdraw(approval, ANSWERED)
        return decision

    def forget(self, owner: str, response_id: str) -> None:
        """List the calls of a deleted response no longer. Raises Unavailable."""
        self._service.forget_response(owner, response_id)


def _requests(items: Iterable[Json]) -> Iterator[tuple[str, ToolRequest]]:
    """Yield the ids of the calls to approve among *items*, and what would run.

    What is too large to be shown as a whole is left out.
    """
    for item in items:
        if item["type"] == "mcp_approval_request" and len(item["arguments"]) <= LONGEST_INPUT:
            tool = tool_named(item["server_label"], item["name"])
            request = ToolRequest(tool, _input(item["arguments"]))
            if not is_too_large(request):
                yield item["id"], request


def _input(arguments: str) -> Json:
    """Return *arguments* as an object, or else their text: what is shown must be what runs."""
    if not arguments.strip():
        return {}
    with contextlib.suppress(ValueError):  # of a number that is too large
        if is_object(arguments):
            value: Json = json.loads(arguments)
            json.dumps(value, allow_nan=False)
            return value
    return {"arguments": arguments}


def _denied(item: Json, decisions: Mapping[str, Decision]) -> Json:
    """Return *item*, or where it answers a call that was denied, the denial."""
    decision = decisions.get(item["approval_request_id"]) if _is_answer(item) else None
    if decision is None or decision.outcome != "denied":
        return item
    return {**item, **_answer(item["approval_request_id"], decision)}


def _is_answer(item: Json) -> bool:
    return item.get("type") == ANSWER


def _unanswered(items: Iterable[Item]) -> list[str]:
    """Return the ids of the calls among *items* that wait for approval."""
    asked: list[str] = []
    answered: set[str] = set()
    for item in items:
        answered.add(item.answers)
        if item.output is None:
            asked += [part.id for part in item.parts if isinstance(part, ToolCall) and part.server]
    return [id_ for id_ in asked if id_ not in answered]


def _decision(approval: Approval | None) -> Decision | None:
    """Return what was decided on *approval*, None if the next request has to answer it."""
    decision = approval.decision if approval else None
    return None if decision is None or decision.outcome == "withdrawn" else decision


def _answer(id_: str, decision: Decision) -> Json:
    """Return the item that a client would send for *decision*."""
    return {
        "type": ANSWER,
        "approval_request_id": id_,
        "approve": decision.allowed,
        "reason": decision.reason or None,
    }
