"""The loops: an event loop for each request, had from one before it where nothing is left in it."""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import Any

# How many are kept that nobody has: each holds three descriptors.
SPARE = 8

_spare: list[Loop] = []


class Loop(asyncio.SelectorEventLoop):
    """An event loop that knows whether all that ever was in it is over."""

    # What asyncio keeps of what was begun in a loop, without telling anybody.
    _ready: Any
    _scheduled: list[asyncio.TimerHandle]
    _asyncgens: Any
    _default_executor: Any
    _signal_handlers: Any
    _selector: Any

    def settle(self) -> None:
        """Run what was only left to be run, as closed pipes leave it."""
        if self._ready:
            self.call_soon(self.stop)
            self.run_forever()

    def is_clean(self) -> bool:
        """Say whether it is as good as new: nothing waits, nothing was changed, nothing is open."""
        left = (
            *(self._ready, self._asyncgens, self._default_executor, self._signal_handlers),
            *(self.get_exception_handler(), self.get_task_factory(), asyncio.all_tasks(self)),
        )
        timers = any(not timer.cancelled() for timer in self._scheduled)
        own = 1  # by which other threads wake it
        return not (any(left) or timers or len(self._selector.get_map()) > own)


def lend() -> Loop:
    """Return a loop that nobody else has, to be given back."""
    try:
        return _spare.pop()
    except IndexError:
        return Context().run(Loop)  # it keeps the one that it is made in


def give_back(loop: Loop) -> None:
    """Keep *loop* for another request, or close it where anything is left in it."""
    loop.settle()
    if len(_spare) < SPARE and loop.is_clean():
        _spare.append(loop)
        return
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
