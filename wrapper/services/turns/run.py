"""The run: the turns of one request under way, watched, recorded, booked and remembered."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from wrapper.errors import ApiError, QuotaExceeded
from wrapper.services.background.watchdog import Watchdog
from wrapper.services.events import Ended, Ending, Event, Noted, add_note
from wrapper.services.messages.answer import Answer
from wrapper.services.telemetry.timing import timed
from wrapper.services.turns.request_log import RequestLog
from wrapper.services.turns.usage_recorder import UsageRecorder


class Events(Protocol):
    """The events of turns under way, each with its turn's index, and None where none came."""

    def __iter__(self) -> Iterator[tuple[int, Event] | None]: ...

    def close(self) -> Iterable[tuple[int, Event]]:
        """End what still runs, and return what it has told that nobody has asked for."""
        ...


class Run:
    """The events of one request. It must be closed; closing it more than once is harmless.

    *answers* gather the turns' events. Each is given to *remember* when its turn ends, before the
    client gets that event. `notes`, by header name, grow as the turns run. As a context manager it
    closes itself, and adds the time that the request took to an ApiError.
    """

    def __init__(
        self,
        loop: Events,
        watchdog: Watchdog,
        record: RequestLog,
        recorder: UsageRecorder,
        *,
        answers: Sequence[Answer],
        remember: Callable[[Answer], None],
        release: Callable[[], None],
        notes: dict[str, str],
    ):
        self._loop = loop
        self._watchdog = watchdog
        self._record = record
        self._recorder = recorder
        self._answers = answers
        self._remember = remember
        self._release = release
        self._items = self._watched()
        self._primed: list[tuple[int, Event] | None] = []
        self.notes = notes

    def __iter__(self) -> Iterator[tuple[int, Event] | None]:
        """Yield (choice, event), or None when a while has passed without any."""
        return itertools.chain(self._primed, self._items)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        with timed(self._record.timing):
            self.close()
            if isinstance(error, ApiError):
                raise error

    def wait_for_first_event(self, seconds: float) -> None:
        """Wait at most *seconds* for the first event: until then an error can still be a status."""
        until = time.monotonic() + seconds
        for item in self._items:
            if item is not None or time.monotonic() >= until:
                self._primed.append(item)
                return

    def report(self) -> dict[str, str]:
        """Return the notes, by header name, with the state of the rates and the time so far."""
        return {**self.notes, **self._recorder.rate_headers(), **self._record.timing.header()}

    def close(self) -> None:
        try:
            with contextlib.suppress(ApiError):  # the books keep it all the same, the log tells
                for index, event in self._loop.close():
                    self._record.add(index, event)
                self._recorder.close()
        finally:  # else a session could never be used again
            self._release()
            self._record.close()

    def _watched(self) -> Iterator[tuple[int, Event] | None]:
        self._record.begin()
        try:
            for item in self._loop:
                self._watchdog.check()
                if item is not None:
                    yield from self._ended_early(*item)
                    self._record.add(*item)
                    self._gather(*item)
                yield item
        except Exception as error:
            self._record.fail(error)
            raise
        self._record.done()

    def _gather(self, index: int, event: Event) -> None:
        if isinstance(event, Noted):
            self.notes = add_note(self.notes, event)
        answer = self._answers[index]
        try:
            answer.add(event)
        except ApiError as error:
            error.extra_headers |= self.notes
            raise
        if answer.ended:
            try:
                self._remember(answer)
            except ApiError as error:
                error.retry = False  # the turn was had, whatever its tools have done
                raise

    def _ended_early(self, index: int, event: Event) -> Iterator[tuple[int, Event]]:
        """Yield what names the reason, before the end of a turn that could not go on."""
        if isinstance(event, Ended) and event.ending is Ending.BUDGET:
            noted = Noted("x-ended-early", str(QuotaExceeded.code))
            self._gather(index, noted)
            yield index, noted
