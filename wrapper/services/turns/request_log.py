"""The record: what there is to say about a request once it is over, in one line of the log."""

from __future__ import annotations

import logging
from typing import Any

from wrapper.errors import ApiError, QuotaExceeded
from wrapper.services.events import Ended, Ending, Event, Noted, Started, Used
from wrapper.services.telemetry.metrics import Metrics
from wrapper.services.telemetry.signals import Signals
from wrapper.services.telemetry.timing import Timing
from wrapper.services.turn import Turn

log = logging.getLogger(__name__)


class RequestLog:
    """Gathers a request's figures, and logs, counts and tells them, once.

    Text of the prompt is logged only if *prompts*. Without *signals* nobody is told.
    """

    def __init__(
        self,
        request_id: str,
        turn: Turn,
        *,
        prompts: bool,
        timing: Timing,
        metrics: Metrics,
        signals: Signals | None = None,
    ):
        self._turn = turn
        self.timing = timing
        self._metrics = metrics
        self._signals = signals
        self._facts: dict[str, Any] = {"id": request_id, "key": turn.principal.name}
        self._facts["model"] = turn.model
        self._facts |= {"profile": turn.profile, "prompt_tokens": 0, "completion_tokens": 0}
        self._outcome = ""
        self._closed = False
        if prompts:
            self._facts["messages"] = [[m.role, *map(str, m.parts)] for m in turn.messages]

    def begin(self) -> None:
        """Take note that the request's turns are about to run."""
        if self._signals:
            self._signals.begin()

    def add(self, index: int, event: Event) -> None:
        """Take note of an event of one of the request's turns."""
        if isinstance(event, Started):
            self._facts["model"] = event.model
            self.timing.started(event)
        elif isinstance(event, Used):
            if self._signals:
                self._signals.use(index, event)
        elif isinstance(event, Noted):
            self._facts[event.name.removeprefix("x-").replace("-", "_")] = event.param
        elif isinstance(event, Ended):
            if event.ending is Ending.BUDGET:
                self._outcome = str(QuotaExceeded.code)
            used = event.usage
            self._facts["prompt_tokens"] += used.prompt
            self._facts["completion_tokens"] += used.output
            if event.cost_usd is not None:
                cost = self._facts.get("cost_usd", 0.0) + event.cost_usd
                self._facts["cost_usd"] = round(cost, 9)

    def done(self) -> None:
        self._outcome = self._outcome or "done"

    def fail(self, error: Exception) -> None:
        """Take note that the request failed, by the code that the client is told."""
        if isinstance(error, ApiError):
            error.recorded = True
        code = error.code or error.type if isinstance(error, ApiError) else None
        self._outcome = code or "internal_error"

    def close(self) -> None:
        """Log the request; who closes it unfinished has left."""
        if self._closed:
            return
        self._closed = True
        timing, outcome = self.timing, self._outcome or "client_gone"
        timing.over()
        source = {"source": timing.source} if timing.source else {}
        times = {f"{name}_ms": round(took * 1000) for name, took in timing.parts().items()}
        facts = {**self._facts, **source, **times, "outcome": outcome}
        log.info("request", extra={"facts": facts})
        self._metrics.timed(self._turn.profile, timing)
        if outcome != "done":
            self._metrics.failed(outcome)
        if self._signals:
            self._signals.finish(outcome)
