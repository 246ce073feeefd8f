"""Calls that end stored responses: how they are listed, and what was decided on them."""

import json

import pytest

from wrapper.errors import ApprovalDecidedBefore, ApprovalNotFound, InvalidRequest, Unavailable
from wrapper.schemas.responses.items import load_stored_item
from wrapper.services.approvals.approval import Decision
from wrapper.services.approvals.memory_store import MemoryApprovalStore
from wrapper.services.approvals.presenter import to_json
from wrapper.services.approvals.preview import LONGEST_INPUT
from wrapper.services.approvals.service import ApprovalService
from wrapper.services.approvals.store import Room
from wrapper.services.principal import Principal
from wrapper.services.responses.call_approvals import CallApprovals

ALICE, BOB, ADMIN = Principal("alice"), Principal("bob"), Principal("ann", admin=True)
APPROVED = Decision("approved", by="ann")
DENIED = Decision("denied", reason="Too costly.", by="ann")


def call(id_="mcpr_1", arguments='{"a": 1}'):
    return {
        "type": "mcp_approval_request",
        "id": id_,
        "server_label": "my docs",
        "name": "add",
        "arguments": arguments,
    }


def answer(id_="mcpr_1", *, approve=True, reason=None):
    return {
        "type": "mcp_approval_response",
        "approval_request_id": id_,
        "approve": approve,
        "reason": reason,
    }


class World:
    """A response of alice that ended with a call, and a clock that the test sets."""

    def __init__(self, *calls):
        self.now = 1000.0
        self.outcomes: list[str] = []
        clock = lambda: self.now  # noqa: E731
        self.store = MemoryApprovalStore(Room(0, 0), clock)
        self.service = ApprovalService(
            self.store, timeout=60, ttl=100, clock=clock, decided=self.outcomes.append
        )
        self.calls = calls or (call(),)
        self.approvals = CallApprovals(self.service)
        self.offer()

    def offer(self, **fields):
        response = {"id": "resp_1", "status": "completed", "output": self.calls, **fields}
        self.approvals.offer("alice", "req_1", response)

    def decide(self, decision, id_="mcpr_1"):
        return self.service.decide(ADMIN, id_, decision)

    def settle(self, *own, owner="alice"):
        before = (load_stored_item("previous_response_id", each) for each in self.calls)
        return self.approvals.settle(owner, [*filter(None, before)], own)

    @property
    def pending(self):
        return [approval.id for approval in self.service.pending(ALICE)]


@pytest.fixture
def world():
    return World()


def test_listed(world):
    """A call is listed under its item's own id, for its owner and an admin."""
    (approval,) = world.service.pending(ALICE)
    assert world.service.pending(ADMIN) == [approval]
    assert world.service.pending(BOB) == []
    shown = to_json(approval)
    assert (shown["id"], shown["response_id"], shown["request_id"]) == ("mcpr_1", "resp_1", "req_1")
    assert (shown["tool"], shown["input"]) == ("mcp__my_docs__add", {"a": 1})
    assert (shown["session_rule"], shown["expires_at"]) == (None, "1970-01-01T00:17:40+00:00")
    with pytest.raises(ApprovalNotFound):
        world.service.decide(BOB, "mcpr_1", APPROVED)


@pytest.mark.parametrize("text", ["[1]", "{", '{"a": NaN}', '{"a": 1e999}', "[" * 9999])
def test_odd_arguments(text):
    """Arguments that cannot be shown as an object are shown as they are."""
    (approval,) = World(call(arguments=text)).service.pending(ALICE)
    assert approval.input == {"arguments": text}


def test_what_is_not_listed():
    """A failed response lists nothing, nor does a call that is too large to be shown."""
    large = [call(arguments=f'{{"a": "{letter * LONGEST_INPUT}"}}') for letter in ("x", "\0")]
    half = call(arguments=json.dumps({"a": "\ud800" * (LONGEST_INPUT // 2)}, ensure_ascii=False))
    world = World({"type": "message"}, *large, half)
    assert not world.pending
    world = World(call(arguments=" "))
    assert [each.input for each in world.service.pending(ALICE)] == [{}]
    world.approvals.forget("alice", "resp_1")
    world.offer(status="failed")
    assert not world.pending


@pytest.mark.parametrize("decision", [APPROVED, DENIED])
def test_decided(world, decision):
    """A request without an answer of its own gets what was decided, any number of times."""
    world.decide(decision)
    assert not world.pending
    text = {"role": "user", "content": "go on"}
    expected = answer(approve=decision.allowed, reason=decision.reason or None)
    for _ in range(2):
        assert world.settle(text) == ([expected], [text])
    assert world.outcomes == [decision.outcome]


def test_undecided(world):
    """A request that answers nothing is left as it is, and so is the call."""
    assert world.settle() == ([], ())
    assert world.pending == ["mcpr_1"]


def test_in_order():
    """Decisions stand in the order of their calls; as long as one is missing none is used."""
    world = World(*(call(f"mcpr_{number}") for number in range(4)))
    for number in (3, 0, 2):
        world.decide(APPROVED, f"mcpr_{number}")
        assert world.settle()[0] == []
    world.decide(DENIED, "mcpr_1")
    ids = [item["approval_request_id"] for item in world.settle()[0]]
    assert ids == ["mcpr_0", "mcpr_1", "mcpr_2", "mcpr_3"]


def test_answered(world):
    """A call that a request answers is no longer listed, and cannot be decided."""
    assert world.settle(answer()) == ([], [answer()])
    assert not world.pending
    assert world.service.read(ALICE, "mcpr_1").status == "withdrawn"
    with pytest.raises(ApprovalDecidedBefore, match="is withdrawn already"):
        world.decide(DENIED)
    assert world.settle() == ([], ())  # another request has to answer it, too
    assert world.settle(answer(approve=False)) == ([], [answer(approve=False)])


@pytest.mark.parametrize(
    ("decision", "own", "result"),
    [
        (APPROVED, answer(approve=False), answer(approve=False)),
        (DENIED, answer(), answer(approve=False, reason="Too costly.")),
        (APPROVED, answer(), answer()),
    ],
)
def test_both(world, decision, own, result):
    """Where a decision and the request's answer differ, the denial holds."""
    world.decide(decision)
    assert world.settle(own) == ([], [result])


def test_a_refused_request_withdraws_nothing():
    """A request that leaves a call without an answer changes nothing."""
    world = World(call(), call("mcpr_2"))
    assert world.settle(answer()) == ([], (answer(),))
    assert world.pending == ["mcpr_1", "mcpr_2"]


def test_expired(world):
    """A call on which nobody decides in time is denied, unless the request answers it."""
    world.now += 60
    assert not world.pending
    assert to_json(world.service.read(ALICE, "mcpr_1"))["status"] == "expired"
    with pytest.raises(ApprovalDecidedBefore, match="is expired already"):
        world.decide(APPROVED)
    reason = "Nobody has decided in time (APPROVAL_TIMEOUT)."
    assert world.settle()[0] == [answer(approve=False, reason=reason)]
    assert world.settle(answer()) == ([], [answer()])
    world.now += 100
    with pytest.raises(ApprovalNotFound):
        world.decide(APPROVED)


def test_another_key(world):
    """Decisions on a call count for its owner only."""
    world.decide(APPROVED)
    assert world.settle(owner="bob") == ([], ())


def test_history(world):
    """What an earlier request has answered is not decided again."""
    world.calls += (
        answer(),
        {**call("mcp_1"), "type": "mcp_call", "approval_request_id": "mcpr_1"},
    )
    assert world.settle() == ([], ())


def test_deleted(world):
    """The calls of a deleted response are gone."""
    world.approvals.forget("alice", "resp_2")
    assert world.pending == ["mcpr_1"]
    world.approvals.forget("alice", "resp_1")
    with pytest.raises(ApprovalNotFound):
        world.service.read(ALICE, "mcpr_1")


def test_once(world):
    """A response has no session for which its calls could be approved."""
    with pytest.raises(InvalidRequest, match="a call of a response is decided once"):
        world.decide(Decision("approved", "session"))


def test_no_store(world, monkeypatch, caplog):
    """Without its store a call is not listed, and no request runs it."""

    def away(*_):
        raise Unavailable("Redis is away")

    monkeypatch.setattr(world.store, "keep", away)
    monkeypatch.setattr(world.store, "kept", away)
    world.offer()
    assert "calls of resp_1 wait for approval unlisted: Redis is away" in caplog.text
    with pytest.raises(Unavailable):
        world.settle(answer())
