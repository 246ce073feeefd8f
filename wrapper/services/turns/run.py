"""The run of a request: the events of its turns, watched, logged, recorded and remembered."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from wrapper.errors import ApiError, QuotaExceeded
from wrapper.notes import Notes
from wrapper.services.background.watchdog import Watchdog
from wrapper.services.events import Ended, Ending, Event, Noted, ToolUsed
from wrapper.services.turns.activity import Activity
from wrapper.services.turns.answers import Answers
from wrapper.services.turns.request_log import RequestLog
from wrapper.services.turns.usage_recorder import UsageRecorder

Item = tuple[int, Event] | None


class Events(Protocol):
    """The events of turns, each with its turn's index, and None when none has come for a while."""

    def __iter__(self) -> Iterator[Item]: ...

    def close(self) -> Iterable[tuple[int, Event]]:
        """End the turns that still run, and return what they report that was not read yet."""
        ...


class Run:
    """The events of one request. It must be closed; closing it more than once is harmless.

    *answers* gather the events. An answer is remembered when its turn ends, before the client gets
    that event. *release* gives back what the request holds. `activity` says what the request does
    now. As a context manager the run closes itself, and adds the time that the request took to an
    ApiError.
    """

    def __init__(
        self,
        events: Events,
        watchdog: Watchdog,
        log: RequestLog,
        recorder: UsageRecorder,
        answers: Answers,
        *,
        notes: Notes,
        release: Callable[[], None],
    ):
        self._events = events
        self._watchdog = watchdog
        self._log = log
        self._recorder = recorder
        self._answers = answers
        self._notes = notes
        self._release = release
        self.activity = Activity()
        self._items = self._watched()
        self._first: list[Item] = []

    def __iter__(self) -> Iterator[Item]:
        """Yield (choice, event), or None when nothing has come for a while."""
        return itertools.chain(self._first, self._items)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        with self._log.timing:
            self.close()
            if isinstance(error, ApiError):
                raise error

    def wait_for_first_event(self, seconds: float) -> None:
        """Wait at most *seconds* for the first event: until then an error can still be a status."""
        until = time.monotonic() + seconds
        for item in self._items:
            if item is not None or time.monotonic() >= until:
                self._first.append(item)
                return

    def notes(self) -> Notes:
        """Return what the client learns about the answer, as far as it is known now."""
        timing, cost_usd = self._log.timing.timed_parts(), self._answers.cost_usd()
        known = self._notes | self._recorder.limits()
        return known | Notes(timing=timing, cost_usd=cost_usd)

    def close(self) -> None:
        """End the turns that still run, and give back what the request holds."""
        try:
            # The ledger keeps what it cannot store now, and logs why.
            with contextlib.suppress(ApiError):
                for index, event in self._events.close():
                    self._log.add(index, event)
                self._recorder.close()
        finally:  # else nobody could use the session again
            self._release()
            self._log.close(self._recorder.usage())

    def _watched(self) -> Iterator[Item]:
        self._log.begin()
        used_tools = False
        try:
            for item in self._events:
                if item is not None:  # first of all: nobody reads it again if the run ends here
                    self._log.add(*item)
                self._watchdog.check()
                if item is not None:
                    index, event = item
                    used_tools = used_tools or isinstance(event, ToolUsed)
                    self.activity.note(event)
                    if isinstance(event, Ended):
                        yield from self._notes_before(index, event)
                    self._gather(index, event)
                yield item
        except ApiError as error:
            self._log.fail(error)
            raise self._final(error, used_tools=used_tools) from error
        except Exception as error:
            self._log.fail(error)
            raise
        self._log.done()

    def _final(self, error: ApiError, *, used_tools: bool) -> ApiError:
        """Return *error* as the client gets it.

        Once the model or a call that the client has approved has begun, the client's library must
        not send the request again by itself: what the model did costs money, and what tools did
        cannot be undone. The error is the last model's, so the client learns which failed before.
        """
        retry = False if used_tools or self._log.timing.has_begun else error.retry
        failed = Notes(failed_models=self._notes.failed_models)
        return error.replace(retry=retry, recorded=True, notes=failed | error.notes)

    def _gather(self, index: int, event: Event) -> None:
        if isinstance(event, Noted):
            self._notes |= event.notes
        try:
            self._answers.add(index, event)
        except ApiError as error:
            raise error.replace(notes=self._notes) from error
        if isinstance(event, Ended):
            self._answers.remember(index)

    def _notes_before(self, index: int, event: Ended) -> Iterator[tuple[int, Event]]:
        """Yield what of the budget is spent when the turn ends, and whether that ends the turn."""
        notes = self._recorder.budget_warnings()
        if event.ending is Ending.BUDGET:
            notes |= Notes(ended_early=str(QuotaExceeded.code))
        if notes:
            noted = Noted(notes)
            self._log.add(index, noted)
            self._gather(index, noted)
            yield index, noted
