"""Answers to questions: what they must be, and what Claude Code gets of them."""

from __future__ import annotations

from typing import Any

import pytest

from wrapper.errors import InvalidRequest
from wrapper.services.approvals.approval import Approval, Asker, Decision, Kind, ToolRequest
from wrapper.services.approvals.memory_store import MemoryApprovalStore
from wrapper.services.approvals.questions import answer_texts
from wrapper.services.approvals.service import ApprovalService
from wrapper.services.approvals.store import Room
from wrapper.services.principal import Principal

ALICE = Principal("alice")
QUESTION = {
    "question": "Which?",
    "multiSelect": False,
    "options": [{"label": "A", "description": "first"}, {"label": "B"}],
}
SEVERAL = {**QUESTION, "question": "Which ones?", "multiSelect": True}
FORM = {
    "requested_schema": {
        "type": "object",
        "properties": {"age": {"type": "integer", "minimum": 0}},
        "required": ["age"],
    },
    "message": "How old?",
}


@pytest.fixture
def service():
    return ApprovalService(MemoryApprovalStore(Room(9, 9)), timeout=60)


def begin(service: ApprovalService, given: dict[str, Any], kind: Kind) -> Approval:
    tool = {"question": "AskUserQuestion", "elicitation": "mcp__docs"}.get(kind, "Write")
    approval: Approval = service.begin(
        Asker("alice", session_id="s"), ToolRequest(tool, given, kind), lambda decision: None
    )
    return approval


def approve(service, approval, answers, scope="once"):
    return service.decide(ALICE, approval.id, Decision("approved", scope, answers=answers))


@pytest.mark.parametrize(
    ("given", "answers"),
    [
        (QUESTION, {"Which?": "B"}),
        (QUESTION, {"Which?": {"other": "neither"}}),
        (SEVERAL, {"Which ones?": ["B", "A"]}),
        (SEVERAL, {"Which ones?": {"other": "neither"}}),
    ],
)
def test_answers(service, given, answers):
    """An answer is an option, several where that is asked for, or other words."""
    approval = begin(service, {"questions": [given]}, "question")
    assert approve(service, approval, answers).status == "approved"


@pytest.mark.parametrize(
    ("given", "answers"),
    [
        (QUESTION, {}),
        (QUESTION, {"Which?": "C"}),
        (QUESTION, {"Which?": ["A"]}),
        (QUESTION, {"Which?": "A", "Why?": "A"}),
        (QUESTION, {"Which?": {"other": ""}}),
        (QUESTION, {"Which?": {"other": "x" * 4001}}),
        (SEVERAL, {"Which ones?": []}),
        (SEVERAL, {"Which ones?": ["A", "A"]}),
        (SEVERAL, {"Which ones?": "A"}),
    ],
)
def test_wrong_answers(service, given, answers):
    """Other answers are refused, and the question goes on waiting."""
    approval = begin(service, {"questions": [given]}, "question")
    with pytest.raises(InvalidRequest, match=r"^answers: they do not match answer_schema: "):
        approve(service, approval, answers)
    assert service.read(ALICE, approval.id).status == "pending"


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"questions": []},
        {"questions": ["?"]},
        {"questions": [{"question": "Which?"}]},
        {"questions": [{"question": "Which?", "options": [{"label": 1}]}]},
    ],
)
def test_unreadable_questions(service, given):
    """Questions that cannot be shown as a whole are not asked."""
    with pytest.raises(ValueError, match="no "):
        begin(service, given, "question")


def test_form(service):
    """The answers to a server's form fit its schema."""
    approval = begin(service, FORM, "elicitation")
    for wrong in ({}, {"age": -1}, {"age": "3"}):
        with pytest.raises(InvalidRequest, match=r"^answers: "):
            approve(service, approval, wrong)
    assert approve(service, approval, {"age": 3}).status == "approved"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "no such type"},
        {"$ref": "https://example.com/schema"},
        {"properties": {"age": {"type": "string", "pattern": "^(a+)+$"}}},
    ],
)
def test_hostile_schemas(service, schema):
    """A server's schema that cannot be used, or costs too much, gets no answers."""
    approval = begin(service, {"requested_schema": schema}, "elicitation")
    with pytest.raises(InvalidRequest, match=r"^answers: "):
        approve(service, approval, {"age": "a" * 60 + "b"})


def test_missing_and_needless_answers(service):
    """A question needs answers, and an approval or a page to open has none."""
    question = begin(service, {"questions": [QUESTION]}, "question")
    with pytest.raises(InvalidRequest, match="answers: they are missing"):
        approve(service, question, None)
    for kind in ("tool", "elicitation"):
        approval = begin(service, {"url": "https://example.com"}, kind)
        with pytest.raises(InvalidRequest, match="answers: this approval asks no questions"):
            approve(service, approval, {})
        assert approve(service, approval, None).status == "approved"


def test_denials_have_no_answers(service):
    """A question may be denied without answers."""
    approval = begin(service, {"questions": [QUESTION]}, "question")
    assert service.decide(ALICE, approval.id, Decision("denied")).status == "denied"


def test_not_for_the_session(service):
    """An answer holds once."""
    approval = begin(service, {"questions": [QUESTION]}, "question")
    with pytest.raises(InvalidRequest, match="scope: a question is answered once"):
        approve(service, approval, {"Which?": "A"}, "session")


def test_texts():
    """Claude Code gets each answer as a text."""
    answers = {"a": "A", "b": ["A", "B"], "c": {"other": "words"}}
    assert answer_texts(answers) == {"a": "A", "b": "A, B", "c": "words"}
