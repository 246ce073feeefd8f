"""The approver of a turn: it asks, and gives the turn's place back meanwhile."""

import asyncio
import json
from contextlib import suppress

import pytest

from wrapper.errors import Unavailable
from wrapper.services.approvals.approval import Asker, Decision, ToolRequest
from wrapper.services.approvals.memory_store import MemoryApprovalStore
from wrapper.services.approvals.service import ApprovalService
from wrapper.services.approvals.store import Room
from wrapper.services.background.watchdog import Watchdog
from wrapper.services.limits.admission import Admission
from wrapper.services.principal import LOCAL
from wrapper.services.turns.approver import FOR_SESSION, NOBODY, TOO_LARGE, TurnApprover

SECONDS = 60  # for what happens at once
ROOM = Room(9, 9)
WRITE = ToolRequest("Write", {"file_path": "a", "content": "x"})


class World:
    """A turn that has the only place, with an approver."""

    def __init__(self, timeout=SECONDS, room=ROOM):
        self.admission = Admission(1)
        self.permit = self.admission.admit(1)
        self.is_draining = False
        self.now = 0.0
        self.watchdog = Watchdog(
            gone=lambda: False,
            draining=lambda: False,
            limit=100,
            grace=9,
            clock=lambda: self.now,
        )
        self.store = MemoryApprovalStore(room)
        self.service = ApprovalService(self.store, timeout=timeout)
        self.shown = []
        self.changed = asyncio.Event()
        self.approver = TurnApprover(
            self.service,
            Asker("local", "req_1", "s"),
            self.permit,
            self.watchdog,
            lambda: self.is_draining,
            set(),
            self.emit,
        )

    async def emit(self, event):
        self.shown.append(event.approval.status)
        self.changed.set()

    @property
    def running(self):
        return self.admission.load()["running"]

    def ask(self, request=WRITE):
        return asyncio.create_task(self.approver.ask(request))

    async def pending(self, count=1):
        async with asyncio.timeout(SECONDS):
            while len(found := self.service.pending(LOCAL)) != count:
                self.changed.clear()
                await self.changed.wait()
        return found

    def decide(self, approval, outcome="approved", **more):
        self.service.decide(LOCAL, approval.id, Decision(outcome, **more))


def run(test):
    """Run *test* in an event loop."""

    async def main():
        async with asyncio.timeout(3 * SECONDS):
            await test()

    asyncio.run(main())


def test_place_and_clock():
    """While it waits, the turn has no place and its time limit does not run."""

    async def test():
        world = World()
        asked = world.ask()
        (approval,) = await world.pending()
        assert world.running == 0
        other = world.admission.admit(1)
        world.now = 1000
        world.watchdog.check()
        world.decide(approval)
        with pytest.raises(TimeoutError):  # the other turn has the only place
            await asyncio.wait_for(asyncio.shield(asked), 0.05)
        other()
        assert (await asked).allowed
        assert (world.running, world.shown) == (1, ["pending", "approved"])
        world.now = 1090
        world.watchdog.check()
        await world.approver.close()

    run(test)


def test_several_at_once():
    """The turn goes on when all that it asked for is decided."""

    async def test():
        world = World()
        first, second = world.ask(), world.ask(ToolRequest("Bash", {"command": "ls"}))
        approvals = await world.pending(2)
        world.decide(approvals[0])
        await world.pending(1)
        assert not first.done()
        assert world.running == 0
        world.decide(approvals[1], "denied", reason="No.")
        assert [(await asked).outcome for asked in (first, second)] == ["approved", "denied"]
        assert world.running == 1

    run(test)


def test_session_scope():
    """What is approved for the session is not asked again, and something else is."""

    async def test():
        world = World()
        asked = world.ask()
        world.decide((await world.pending())[0], scope="session")
        assert (await asked).allowed
        assert await world.approver.ask(ToolRequest("Write", {"file_path": "b"})) == FOR_SESSION
        asked = world.ask(ToolRequest("Edit", {"file_path": "b"}))
        world.decide((await world.pending())[0], "denied")
        assert not (await asked).allowed

    run(test)


def test_timeout():
    """What nobody decides in time is denied, and later tools of the turn are not asked about."""

    async def test():
        world = World(timeout=0.05)
        assert (await world.approver.ask(WRITE)).outcome == "expired"
        assert await world.approver.ask(WRITE) == NOBODY
        assert (world.running, world.shown) == (1, ["pending", "expired"])

    run(test)


def test_shutdown():
    """What waits when the gateway shuts down is denied."""

    async def test():
        world = World()
        asked = world.ask()
        await world.pending()
        world.is_draining = True
        decision = await asked
        assert (decision.outcome, "shutting down" in decision.reason) == ("withdrawn", True)

    run(test)


def test_refused_at_once():
    """Without room or a store, or with too large or deep an input, a tool is denied at once."""

    async def test():
        decision = await World(room=Room(0, 9)).approver.ask(WRITE)
        assert decision == Decision("denied", reason="0 approvals wait already (MAX_APPROVALS).")
        world = World()
        large = ToolRequest("Write", {"content": "x" * 70_000})
        assert await world.approver.ask(large) == TOO_LARGE
        deep = ToolRequest("mcp__a__b", json.loads('{"a":' * 600 + "1" + "}" * 600))
        assert await world.approver.ask(deep) == TOO_LARGE

        def fail(*_):
            raise Unavailable("No store.")

        world.store.add = fail  # type: ignore[method-assign]
        assert (await world.approver.ask(WRITE)).reason == "No store."
        assert (world.running, world.shown) == (1, [])

    run(test)


def test_decision_that_cannot_be_read():
    """A decision that the store does not confirm is a refusal."""

    async def test():
        world = World()
        asked = world.ask()
        (approval,) = await world.pending()
        decide = world.store.decide

        def fail(*_):
            raise Unavailable("No store.")

        decide(approval.id, Decision("approved"))
        world.store.decide = fail  # type: ignore[method-assign]
        assert (await asked).outcome == "withdrawn"

    run(test)


def test_cancelled():
    """When the turn ends, what waits is withdrawn; its place is not taken again."""

    async def test():
        world = World()
        asked = world.ask()
        (approval,) = await world.pending()
        asked.cancel()
        with suppress(asyncio.CancelledError):
            await asked
        await world.approver.close()
        world.permit()
        assert world.service.read(LOCAL, approval.id).status == "withdrawn"
        assert (world.running, world.admission.busy()) == (0, False)
        world.now = 101
        with pytest.raises(Exception, match="MAX_TIMEOUT"):  # the time limit runs again
            world.watchdog.check()

    run(test)


def test_one_of_two_cancelled():
    """A tool that is decided goes on when the other one that waited is withdrawn."""

    async def test():
        world = World()
        first, second = world.ask(), world.ask()
        approvals = await world.pending(2)
        world.decide(approvals[0])
        await world.pending(1)
        second.cancel()
        assert (await first).allowed
        assert world.running == 1

    run(test)
