"""What a running request does: in words, with the names of tools and nothing of their inputs."""

from dataclasses import replace

import pytest

from wrapper.services.approvals.approval import Approval, Asker, Decision
from wrapper.services.events import (
    ApprovalChanged,
    CallStarted,
    RawEvent,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolUse,
    ToolUsed,
    Used,
)
from wrapper.services.turns.activity import WAITS, Activity


def approval(decision=None):
    asked = Approval("apr_1", Asker("ann"), "Write", {"content": "secret"}, "secret", "", 0, 1)
    return ApprovalChanged(replace(asked, decision=decision))


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Started("m"), "answers"),
        (ReasoningDelta("secret"), "thinks"),
        (TextDelta("secret"), "writes"),
        (ToolUse("Bash", '{"command": "secret"}'), "runs Bash"),
        (ToolUse("x" * 200, "{}"), f"runs {'x' * 80}"),
        (ToolUsed("Bash", "done", 1.0), WAITS),
        (CallStarted(0, "id", "secret"), "calls a function"),
        (approval(), "waits for approval of Write"),
        (approval(Decision("approved")), "runs Write"),
        (approval(Decision("denied")), WAITS),
        (RawEvent({"type": "content_block_delta", "delta": "secret"}), "answers"),
        (RawEvent({"type": "message_stop"}), WAITS),
    ],
)
def test_text(event, text):
    """The last event says what the request does; a count of tokens says nothing of it."""
    activity = Activity()
    assert activity.text() == WAITS
    activity.note(event)
    activity.note(Used({}))
    assert activity.text() == text
