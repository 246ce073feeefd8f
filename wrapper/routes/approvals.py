"""The routes of tool uses that wait for approval."""

from __future__ import annotations

from dataclasses import replace

from flask import Blueprint, Response

from wrapper.routes.context import current_gateway, principal
from wrapper.routes.json_body import load
from wrapper.routes.json_response import reply
from wrapper.routes.operation import operation
from wrapper.schemas import examples, state_examples
from wrapper.schemas.approvals import (
    APPROVAL_DECISION,
    ApprovalDecisionSchema,
    ApprovalListSchema,
    ApprovalSchema,
)
from wrapper.services.approvals.approval import Decision
from wrapper.services.approvals.presenter import to_json
from wrapper.services.approvals.service import ApprovalService

approvals = Blueprint("approvals", __name__)


@approvals.get("/approvals")
@operation(answers={200: ApprovalListSchema}, answer=state_examples.APPROVALS, errors=(503,))
def list_approvals() -> Response:
    """List the tool uses of the caller that wait for approval; for an admin, of all."""
    pending = _service().pending(principal())
    return reply({"object": "list", "data": [to_json(approval) for approval in pending]})


@approvals.get("/approvals/<approval_id>")
@operation(answers={200: ApprovalSchema}, answer=state_examples.APPROVAL, errors=(503,))
def read_approval(approval_id: str) -> Response:
    """Return a tool use that waits for approval, or did so some minutes ago."""
    return reply(to_json(_service().read(principal(), approval_id)))


@approvals.post("/approvals/<approval_id>")
@operation(
    body=ApprovalDecisionSchema,
    examples=examples.APPROVAL_DECISION,
    answers={200: ApprovalSchema},
    answer=state_examples.APPROVAL_DECIDED,
    errors=(404, 409, 503),
)
def decide_approval(approval_id: str) -> Response:
    """Approve or deny a tool use. Only the key whose turn it is, or an admin's, may do so, once."""
    decision: Decision = load(APPROVAL_DECISION)
    decision = replace(decision, by=principal().name)
    return reply(to_json(_service().decide(principal(), approval_id, decision)))


def _service() -> ApprovalService:
    service: ApprovalService = current_gateway().stores.approvals
    return service
