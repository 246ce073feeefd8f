"""Questions among Claude Code's permission prompts, and their answers."""

from __future__ import annotations

import pytest

from wrapper.services.approvals.approval import Decision
from wrapper.services.claude.protocol.permission_prompt import (
    PermissionServer,
    answer_of,
    asks_permission,
    tool_request,
)

FORM = {
    "type": "control_request",
    "request_id": "r1",
    "request": {
        "subtype": "elicitation",
        "mcp_server_name": "my docs",
        "message": "How old?",
        "mode": "form",
        "requested_schema": {"type": "object"},
        "property_order": [],
    },
}
QUESTION = {
    "type": "control_request",
    "request_id": "r2",
    "request": {
        "subtype": "can_use_tool",
        "tool_name": "AskUserQuestion",
        "input": {"questions": []},
        "requires_user_interaction": True,
    },
}


def response(frame):
    assert frame["response"]["subtype"] == "success"
    return frame["response"]["response"]


@pytest.mark.parametrize("frame", [FORM, QUESTION])
def test_asked(frame):
    """Where the owner can be asked both kinds are, also if only edits may be approved."""
    assert asks_permission(frame)
    for approvable in ("edits", "inside", "anything"):
        assert PermissionServer("/", approvable=approvable).answer(frame) is None


def test_nobody_to_ask():
    """Where nobody can be asked a question is denied, and a server's form cancelled."""
    server = PermissionServer("/")
    assert response(server.answer(FORM)) == {"action": "cancel"}
    assert response(server.answer(QUESTION))["behavior"] == "deny"


def test_requests():
    """An elicitation shows the server and its form, a question its questions."""
    form = tool_request(FORM)
    assert (form.kind, form.tool) == ("elicitation", "mcp__my_docs")
    assert form.input == {
        "server": "my docs",
        "message": "How old?",
        "mode": "form",
        "requested_schema": {"type": "object"},
    }
    question = tool_request(QUESTION)
    assert (question.kind, question.input) == ("question", {"questions": []})


@pytest.mark.parametrize(
    ("decision", "result"),
    [
        (Decision("approved", answers={"age": 3}), {"action": "accept", "content": {"age": 3}}),
        (Decision("approved"), {"action": "accept"}),
        (Decision("denied"), {"action": "decline"}),
        (Decision("expired"), {"action": "cancel"}),
        (Decision("withdrawn"), {"action": "cancel"}),
    ],
)
def test_answers_to_a_server(decision, result):
    """A server learns whether the user answered, declined, or did neither."""
    assert response(answer_of(FORM, decision)) == result


def test_answers_to_a_question():
    """Claude Code gets the answers beside the questions, or why there are none."""
    answered = answer_of(QUESTION, Decision("approved", answers={"Which?": ["A", "B"]}))
    updated = {"questions": [], "answers": {"Which?": "A, B"}}
    assert response(answered) == {"behavior": "allow", "updatedInput": updated}
    expired = response(answer_of(QUESTION, Decision("expired", reason="Nobody was there.")))
    assert expired == {
        "behavior": "deny",
        "message": "AskUserQuestion was not answered: Nobody was there.",
    }
