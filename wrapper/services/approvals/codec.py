"""The codec of approvals and decisions: JSON, which reads back unchanged."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

from wrapper.services.approvals.approval import Approval, Asker, Decision


def encode_approval(approval: Approval) -> bytes:
    """Return *approval* without its decision."""
    fields = asdict(replace(approval, decision=None))
    del fields["decision"]
    return _encode(fields)


def decode_approval(data: bytes) -> Approval:
    """Raises ValueError or TypeError for anything else."""
    fields = _decode(data)
    return Approval(**{**fields, "asker": Asker(**fields["asker"])})


def encode_decision(decision: Decision, token: str) -> bytes:
    """Return *decision* with a *token* that tells it from an equal one."""
    return _encode([token, asdict(decision)])


def decode_decision(data: bytes) -> Decision:
    """Raises ValueError or TypeError for anything else."""
    _, fields = json.loads(data)
    return Decision(**fields)


def _encode(value: Any) -> bytes:
    # A model's text may contain lone surrogates, which json.loads also reads.
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _decode(data: bytes) -> dict[str, Any]:
    fields = json.loads(data)
    if not isinstance(fields, dict) or not isinstance(fields.get("asker"), dict):
        raise ValueError("this is no approval")
    return fields
