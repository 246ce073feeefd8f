"""The approver of a turn: asks the turn's owner, and gives the turn's place back meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, MutableSet
from dataclasses import dataclass, field, replace

from wrapper.errors import ApiError
from wrapper.services.approvals.approval import Approval, Asker, Decision, ToolRequest
from wrapper.services.approvals.preview import (
    DEEPEST_INPUT,
    LONGEST_INPUT,
    is_too_large,
    session_rule,
)
from wrapper.services.approvals.service import EXPIRED, ApprovalService
from wrapper.services.approvals.store import TooManyApprovals
from wrapper.services.background.watchdog import CHECK_SECONDS, Watchdog
from wrapper.services.events import ApprovalChanged, Event
from wrapper.services.limits.admission import Permit

SHUTTING_DOWN = Decision("withdrawn", reason="The gateway is shutting down.")
NOBODY = Decision("denied", reason="Nobody decided on an earlier tool use of this turn in time.")
LEFT = Decision("withdrawn", reason="The turn has ended.")
FOR_SESSION = Decision("approved", "session")
TOO_LARGE = Decision(
    "denied",
    reason=f"Its input has more than {LONGEST_INPUT // 1024} KiB, or {DEEPEST_INPUT} levels, too "
    "much to be shown for approval; use several smaller ones.",
)


async def _emit_nothing(event: Event) -> None:
    """Drop the event: nobody reads the turn's events yet."""


@dataclass
class TurnApprover:
    """Asks *asker*, and remembers in *approved* what is approved for its session.

    While approvals wait, the turn has no place (*permit*), and the time limit of *watchdog* does
    not run. The turn goes on, with a place, once all of its approvals are decided: Claude Code may
    ask for several tools at once. *emit* puts an event among those of the turn.
    """

    service: ApprovalService
    asker: Asker
    permit: Permit
    watchdog: Watchdog
    draining: Callable[[], bool]
    approved: MutableSet[str]
    emit: Callable[[Event], Awaitable[None]] = _emit_nothing
    _wait: _Wait = field(init=False)
    _expired: bool = False

    def __post_init__(self) -> None:
        self._wait = _Wait(self.permit, self.watchdog)

    async def ask(self, request: ToolRequest) -> Decision:
        """Return the decision on *request*, once it is made and the turn has a place again.

        Raises nothing but CancelledError: what goes wrong is a refusal.
        """
        if is_too_large(request):
            return TOO_LARGE
        covered = digest(session_rule(request))
        if request.kind == "tool" and covered in self.approved:
            return FOR_SESSION
        if self._expired:  # nobody is there to decide
            return NOBODY
        decided: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        try:
            approval = self.service.begin(self.asker, request, _setter(decided))
        except TooManyApprovals as error:
            return Decision("denied", reason=f"{error}.")
        except ApiError as error:
            return Decision("denied", reason=str(error))
        except ValueError as error:
            return Decision("denied", reason=f"It cannot be read: {error}.")
        with self._wait:
            decision = await self._decision(approval, decided)
        await self._wait.over()
        if decision.allowed and decision.scope == "session":
            self.approved.add(covered)
        self._expired = self._expired or decision.outcome == "expired"
        return decision

    async def close(self) -> None:
        await self._wait.close()

    async def _decision(self, approval: Approval, decided: asyncio.Future[Decision]) -> Decision:
        decision = LEFT
        try:
            await self.emit(ApprovalChanged(approval))
            decision = await self._await(approval, decided)
        finally:
            decision = self._end(approval, decision)
        await self.emit(ApprovalChanged(replace(approval, decision=decision)))
        return decision

    async def _await(self, approval: Approval, decided: asyncio.Future[Decision]) -> Decision:
        loop = asyncio.get_running_loop()
        until = loop.time() + self.service.timeout
        while (left := until - loop.time()) > 0:
            if self.draining():
                return SHUTTING_DOWN
            await asyncio.wait([decided], timeout=min(left, CHECK_SECONDS))
            if decided.done():
                return decided.result()
        return EXPIRED

    def _end(self, approval: Approval, decision: Decision) -> Decision:
        """End the wait and return the decision that holds. One that cannot be read is a refusal."""
        try:
            return self.service.end(approval, decision)
        except ApiError as error:
            return Decision("withdrawn", reason=str(error))


class _Wait:
    """The time in which any approval of a turn waits. It is entered for each of them."""

    def __init__(self, permit: Permit, watchdog: Watchdog):
        self._permit = permit
        self._watchdog = watchdog
        self._waiting = 0
        self._returning: asyncio.Task[None] | None = None
        self._has_place = asyncio.Event()
        self._has_place.set()
        self._stopped_clock = False

    def __enter__(self) -> None:
        self._waiting += 1
        if self._has_place.is_set():
            self._leave()

    def __exit__(self, *error: object) -> None:
        self._waiting -= 1
        if not self._waiting and self._returning is None:
            self._returning = asyncio.get_running_loop().create_task(self._return())

    async def over(self) -> None:
        """Wait until no approval of the turn waits any more, and the turn has a place."""
        await self._has_place.wait()

    async def close(self) -> None:
        """Stop waiting for a place."""
        if returning := self._returning:
            returning.cancel()
            await asyncio.wait([returning])
        self._resume_clock()

    def _leave(self) -> None:
        self._has_place.clear()
        self._watchdog.pause()
        self._stopped_clock = True
        self._permit.give_back()

    def _resume_clock(self) -> None:
        if self._stopped_clock:
            self._stopped_clock = False
            self._watchdog.resume()

    async def _return(self) -> None:
        loop, taken = asyncio.get_running_loop(), asyncio.Event()
        stop = self._permit.take_again(lambda: _call_soon(loop, taken.set))
        try:
            await taken.wait()
        finally:
            stop()
            self._returning = None
        self._resume_clock()
        self._has_place.set()
        if self._waiting:  # another approval was asked for meanwhile; those that are decided go on
            self._leave()


def digest(rule: str) -> str:
    """Return the form in which a session remembers what it has approved: of a fixed size."""
    return hashlib.sha256(rule.encode("utf-8", "surrogatepass")).hexdigest()


def _setter(decided: asyncio.Future[Decision]) -> Callable[[Decision], None]:
    """Return a function that sets *decided*, to be called in any thread."""
    loop = decided.get_loop()

    def set_once(decision: Decision) -> None:
        if not decided.done():
            decided.set_result(decision)

    return lambda decision: _call_soon(loop, set_once, decision)


def _call_soon(
    loop: asyncio.AbstractEventLoop, function: Callable[..., object], *given: object
) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: the turn has ended
        loop.call_soon_threadsafe(function, *given)
