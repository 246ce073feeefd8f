"""The approval service: who may see and decide what, and how it ends."""

import logging

import pytest

from wrapper.errors import ApprovalDecidedBefore, ApprovalNotFound, InvalidRequest
from wrapper.services.approvals.approval import Asker, Decision, ToolRequest
from wrapper.services.approvals.memory_store import MemoryApprovalStore
from wrapper.services.approvals.presenter import to_json
from wrapper.services.approvals.service import ApprovalService
from wrapper.services.approvals.store import Room
from wrapper.services.principal import Principal

ALICE, BOB, ADMIN = Principal("alice"), Principal("bob"), Principal("ann", admin=True)
REQUEST = ToolRequest("Bash", {"command": "secret command"})
APPROVED = Decision("approved", by="alice")
EXPIRED = Decision("expired")


class World:
    """A service whose ids count and whose time stands still."""

    def __init__(self):
        self.outcomes: list[str] = []
        self.notified: list[Decision] = []
        numbers = iter(range(100))
        self.service = ApprovalService(
            MemoryApprovalStore(Room(9, 9)),
            timeout=60,
            clock=lambda: 1000.0,
            make_id=lambda prefix: f"{prefix}{next(numbers)}",
            decided=self.outcomes.append,
        )

    def begin(self, session_id=None):
        asker = Asker("alice", "req_1", session_id)
        return self.service.begin(asker, REQUEST, self.notified.append)


@pytest.fixture
def world():
    return World()


def test_what_waits(world):
    """An approval has an id, an end, and what would run."""
    approval = world.begin()
    assert (approval.id, approval.created, approval.expires) == ("apr_0", 1000.0, 1060.0)
    assert (approval.preview, approval.status) == ("secret command", "pending")
    assert world.service.waiting == 1
    shown = to_json(approval)
    assert shown["expires_at"] == "1970-01-01T00:17:40+00:00"
    assert (shown["session_rule"], shown["scope"], shown["decided_by"]) == (None, None, None)


def test_owner_and_admin(world):
    """Only the owner and an admin see and decide it; for others it does not exist."""
    approval = world.begin()
    assert world.service.pending(ALICE) == world.service.pending(ADMIN) == [approval]
    assert world.service.pending(BOB) == []
    for call in (
        lambda: world.service.read(BOB, approval.id),
        lambda: world.service.decide(BOB, approval.id, APPROVED),
        lambda: world.service.read(ADMIN, "apr_99"),
    ):
        with pytest.raises(ApprovalNotFound):
            call()
    decision = Decision("denied", reason="No.", by="ann")
    assert world.service.decide(ADMIN, approval.id, decision).decision == decision
    assert world.notified == [decision]


def test_decided_twice(world):
    """A second decision is refused, also one that is equal to the first."""
    approval = world.begin()
    world.service.decide(ALICE, approval.id, APPROVED)
    with pytest.raises(ApprovalDecidedBefore, match="is approved already"):
        world.service.decide(ALICE, approval.id, Decision("approved", by="alice"))


def test_end(world, caplog):
    """The end of the wait is counted and logged, without what would run."""
    caplog.set_level(logging.INFO)
    approval = world.begin()
    assert world.service.end(approval, EXPIRED) == EXPIRED
    assert (world.outcomes, world.service.waiting) == (["expired"], 0)
    assert "apr_0 of alice for Bash: expired" in caplog.text
    assert "secret" not in caplog.text
    with pytest.raises(ApprovalDecidedBefore):
        world.service.decide(ALICE, approval.id, APPROVED)


def test_decision_before_the_end(world):
    """A decision that came just before the end of the wait holds."""
    approval = world.begin()
    world.service.decide(ALICE, approval.id, APPROVED)
    assert world.service.end(approval, EXPIRED) == APPROVED


def test_scope_needs_a_session(world):
    """What belongs to no session is approved once only."""
    decision = Decision("approved", "session")
    with pytest.raises(InvalidRequest) as caught:
        world.service.decide(ALICE, world.begin().id, decision)
    assert caught.value.param == "scope"
    assert world.service.decide(ALICE, world.begin("s").id, decision).decision == decision
