"""The timing of a request: how long its parts took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from wrapper.errors import ApiError
from wrapper.notes import Notes, TimedPart
from wrapper.services.events import Started


@dataclass
class Timing:
    """Seconds, or None while they are not known.

    `queue`: until the request was admitted. `lease`: until it had a process, which came from
    `source`. `configure`: until that process was configured. `first_token` and `total`: from the
    beginning until the model answered, and until the request was over.

    As a context manager it adds what it knows to the notes of an ApiError that is raised meanwhile.
    """

    clock: Callable[[], float] = time.monotonic
    queue: float | None = None
    lease: float | None = None
    configure: float | None = None
    first_token: float | None = None
    total: float | None = None
    source: str = ""
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.clock()

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ApiError):
            self.over()
            raise error.replace(notes=error.notes | self.notes()) from error

    @contextmanager
    def queueing(self) -> Iterator[None]:
        """Measure the wait for admission, also where the request is refused."""
        began = self.clock()
        try:
            yield
        finally:
            self.queue = self.clock() - began

    def started(self, event: Started) -> None:
        """Record how a turn of the request began. Only the first of several turns counts."""
        if self.first_token is not None:
            return
        self.first_token = self._elapsed()
        if acquired := event.acquisition:
            self.source = acquired.source
            self.lease, self.configure = acquired.lease, acquired.configure

    @property
    def has_begun(self) -> bool:
        """Say whether the model has begun to answer."""
        return self.first_token is not None

    def over(self) -> None:
        if self.total is None:
            self.total = self._elapsed()

    def parts(self) -> dict[str, float]:
        """Return the known seconds, in the order of the parts."""
        parts = {
            "queue": self.queue,
            "lease": self.lease,
            "configure": self.configure,
            "first_token": self.first_token,
            "total": self.total,
        }
        return {name: seconds for name, seconds in parts.items() if seconds is not None}

    def notes(self) -> Notes:
        """Return the times that are known, as notes."""
        return Notes(timing=self.timed_parts())

    def timed_parts(self) -> tuple[TimedPart, ...]:
        """Return the times that are known, with the source of the lease."""
        return tuple(
            TimedPart(name, seconds, self.source if name == "lease" else "")
            for name, seconds in self.parts().items()
        )

    def _elapsed(self) -> float:
        return self.clock() - self._began
