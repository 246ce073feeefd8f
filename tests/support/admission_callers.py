"""Callers of an admission: threads that move step by step, with a clock that the test sets."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

from wrapper.errors import ApiError, ClientGone
from wrapper.services.limits.admission import Admission
from wrapper.services.principal import LOCAL, EndUser, Principal
from wrapper.services.principal import Caller as RequestCaller

TICK = 0.25
DEADLINE = 10.0

_numbers = itertools.count()


class Caller(threading.Thread):
    """One request. It waits, or `has` its places and can `release` them, or it has an `error`."""

    def __init__(
        self,
        world: World,
        turns: int,
        principal: Principal,
        *,
        background: bool,
        user: EndUser | None,
    ):
        super().__init__(daemon=True)
        self.number = next(_numbers)
        self.turns = turns
        self.principal = principal
        self.background = background
        self.user = user
        self.key = principal.name
        self.began = self.ended = world.now
        self.gone = False
        self.error: ApiError | None = None
        self.release: Callable[[], None] | None = None
        self.waits_for: threading.Event | None = None
        self.until = 0.0
        self._world = world
        self._still, self._go = threading.Event(), threading.Event()

    def run(self) -> None:
        try:
            caller = RequestCaller(self.principal, user=self.user, background=self.background)
            self.release = self._world.admission.admit(self.turns, caller, self._check)
        except ApiError as error:
            self.error = error
        self.ended = self._world.now
        self.waits_for = None
        self._still.set()

    @property
    def has(self) -> bool:
        return self.release is not None

    def wait(self, event: threading.Event, seconds: float) -> None:
        """Wait until the test lets the thread move."""
        self.waits_for, self.until = event, self._world.now + seconds
        self._still.set()
        assert self._go.wait(DEADLINE)
        self._go.clear()

    def move(self) -> None:
        """Let the thread run until it waits again or has ended."""
        self._still.clear()
        if self.ident is None:
            self.start()
        else:
            self._go.set()
        assert self._still.wait(DEADLINE)

    def _check(self) -> None:
        if self.gone:
            raise ClientGone("The client has gone.")


class World:
    """An admission, its callers and the time. So many processes are `kept` for sessions."""

    def __init__(self, places: int, *, queue: int = 100, timeout: float = 10.0, kept: int = 0):
        self.now = 0.0
        self.kept = kept
        self.callers: list[Caller] = []
        self.admission = Admission(
            places,
            queue=queue,
            timeout=timeout,
            tick=TICK,
            kept=lambda: self.kept,
            clock=lambda: self.now,
            wait=lambda event, seconds: threading.current_thread().wait(event, seconds),  # type: ignore[attr-defined]
        )

    def ask(
        self,
        turns: int = 1,
        principal: Principal = LOCAL,
        user: EndUser | None = None,
        *,
        background: bool = False,
    ) -> Caller:
        caller = Caller(self, turns, principal, background=background, user=user)
        self.callers.append(caller)
        caller.move()
        self._settle()
        return caller

    def end(self, caller: Caller) -> None:
        """Release the places of a running request."""
        assert caller.release
        caller.release()
        self.callers.remove(caller)
        self._settle()

    def later(self, seconds: float) -> None:
        """Let time pass; each waiting caller wakes up when its time has come."""
        until = self.now + seconds
        while (waiting := self.waiting()) and min(one.until for one in waiting) <= until:
            caller = min(waiting, key=lambda one: one.until)
            self.now = caller.until
            caller.move()
            self._settle()
        self.now = until

    def close(self) -> None:
        """Let all waiting callers disconnect."""
        for caller in self.waiting():
            caller.gone = True
        self.later(TICK)

    def waiting(self) -> list[Caller]:
        return [caller for caller in self.callers if caller.waits_for]

    def running(self) -> list[Caller]:
        return [caller for caller in self.callers if caller.has]

    def _settle(self) -> None:
        """Let every caller move whose event is set."""
        while woken := [one for one in self.waiting() if one.waits_for and one.waits_for.is_set()]:
            woken[0].move()
