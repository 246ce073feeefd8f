"""The presenter of approvals: writes them as JSON, in the same form in all APIs."""

from __future__ import annotations

from datetime import UTC, datetime

from wrapper.json_text import Json
from wrapper.services.approvals.approval import Approval, Decision

UNDECIDED = Decision("withdrawn")


def to_json(approval: Approval) -> Json:
    """Return *approval* as JSON."""
    decision = approval.decision or UNDECIDED
    return {
        "object": "approval",
        "id": approval.id,
        "status": approval.status,
        "key": approval.asker.owner,
        "session_id": approval.asker.session_id,
        "response_id": approval.asker.response_id,
        "request_id": approval.asker.request_id,
        "kind": approval.kind,
        "tool": approval.tool,
        "input": dict(approval.input),
        "preview": approval.preview,
        "answer_schema": approval.answer_schema,
        "session_rule": approval.session_rule if may_hold(approval) else None,
        "created_at": _iso(approval.created),
        "expires_at": _iso(approval.expires),
        "scope": decision.scope if decision.allowed else None,
        "reason": decision.reason or None,
        "decided_by": decision.by or None,
    }


def to_event(approval: Approval) -> Json:
    """Return what an event says of *approval*: nothing of what would run."""
    return {
        "id": approval.id,
        "key": approval.asker.owner,
        "kind": approval.kind,
        "expires_at": _iso(approval.expires),
    }


def may_hold(approval: Approval) -> bool:
    """Say whether *approval* can be given for the session."""
    return approval.kind == "tool" and approval.asker.session_id is not None


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
