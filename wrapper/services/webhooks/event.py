"""Events: their types, and the delivery of one event to one recipient."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Literal

from wrapper.json_text import Json

# The recipient WEBHOOK_URL, and the owner of events about the gateway itself. No key has this name.
OPERATOR = "*"

Status = Literal["pending", "delivered", "failed"]


Recipients = Literal["key", "key, operator", "operator"]


@dataclass(frozen=True)
class EventType:
    """A type of events, and who gets them: the key that owns what they are about, the operator."""

    name: str
    meaning: str
    goes_to: Recipients = "key"


TYPES = {
    row.name: row
    for row in (
        EventType("response.completed", "A response in the background is complete."),
        EventType("response.failed", "A response in the background has failed."),
        EventType("response.incomplete", "A response in the background has ended too early."),
        EventType("response.cancelled", "A response in the background was cancelled."),
        EventType("batch.completed", "A batch is complete."),
        EventType("batch.failed", "A batch has failed."),
        EventType("batch.expired", "The completion window of a batch has ended."),
        EventType("batch.cancelled", "A batch was cancelled."),
        EventType("budget.threshold_reached", "A part of a budget is spent.", "key, operator"),
        EventType(
            "approval.waiting", "A tool or a question waits for a decision.", "key, operator"
        ),
        EventType("login.expiring", "The gateway's login is about to expire.", "operator"),
        EventType("login.failed", "The provider refuses the gateway's login.", "operator"),
    )
}


@dataclass(frozen=True)
class Delivery:
    """An event for one recipient, and how far its delivery is. Times are in Unix seconds.

    `due` is when the next attempt may begin, None once there is none. While an attempt runs it has
    a `lease`, and `due` is when another worker may take over. An ended delivery has no `body`.
    """

    id: str
    recipient: str
    type: str
    body: str = field(repr=False)
    created: float
    due: float | None
    status: Status = "pending"
    attempts: int = 0
    last_status: int | None = None
    last_error: str | None = None
    lease: str = ""


def new_delivery(
    recipient: str, type_: str, data: Json, occurrence: str, created: float
) -> Delivery:
    """Return the delivery of an event. The same occurrence always has the same id."""
    named = json.dumps([recipient, type_, occurrence]).encode()
    id_ = f"evt_{hashlib.sha256(named).hexdigest()[:32]}"
    event = {"id": id_, "object": "event", "created_at": int(created), "type": type_, "data": data}
    return Delivery(id_, recipient, type_, json.dumps(event), created, due=created)
