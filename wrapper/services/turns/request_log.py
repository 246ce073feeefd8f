"""The log of requests: one line for each, once it is over."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from wrapper.errors import ApiError, ClientGone, QuotaExceeded
from wrapper.logs.redaction import Redacted
from wrapper.notes import Notes
from wrapper.services.events import Ended, Ending, Event, Noted, Started, Used
from wrapper.services.principal import Caller
from wrapper.services.requests.history import RequestHistory
from wrapper.services.requests.request import CLIENT_GONE, DONE, RequestUsage
from wrapper.services.spent import sum_costs
from wrapper.services.telemetry.metrics import Metrics
from wrapper.services.telemetry.signals import Signals
from wrapper.services.telemetry.timing import Timing
from wrapper.services.telemetry.traces import NULL_TRACE, TurnTrace
from wrapper.services.turn import Turn
from wrapper.services.turns.draft import Draft

# Clients choose these ids. Claude Code's user id has three parts.
LONGEST_ID = 256

log = logging.getLogger(__name__)


class RequestLog:
    """Gathers the facts about a request. When it is closed it logs and counts them, and adds them
    to the *history*, if there is one.

    A failed turn is a warning, whatever failed: the gateway had found nothing wrong with the
    request. A client that leaves is none. The log has the texts of the *conversation* only if they
    are given. Without *signals*, the app around the gateway does not learn about the request.
    It closes the *trace*.
    """

    def __init__(
        self,
        caller: Caller,
        draft: Draft,
        *,
        timing: Timing,
        metrics: Metrics,
        history: RequestHistory | None = None,
        signals: Signals | None = None,
        conversation: Iterable[Sequence[str]] | None = None,
        trace: TurnTrace = NULL_TRACE,
    ):
        self.timing = timing
        self._profile = draft.grant.profile
        self._metrics = metrics
        self._history = history
        self._signals = signals
        self._trace = trace
        self._outcome = ""
        self._error: Exception | None = None
        self._closed = False
        self._costs: list[float | None] = []
        self._facts: dict[str, Any] = {
            "id": caller.request_id,
            "key": draft.principal.name,
            "stream": draft.request.stream,
            "model": draft.model,
            "profile": self._profile,
            "prompt_tokens": 0,
            "completion_tokens": 0,
        }
        self._facts |= _origin(caller, draft) | dict(trace.ids)
        if conversation is not None:
            self._facts["messages"] = [*conversation]

    def begin(self) -> None:
        """Note that the request's turns are about to run."""
        if self._signals:
            self._signals.begin()

    def add(self, index: int, event: Event) -> None:
        """Note an event of one of the request's turns."""
        if isinstance(event, Started):
            self._facts["model"] = event.model
            self.timing.started(event)
        elif isinstance(event, Used):
            if self._signals:
                self._signals.use(index, event)
        elif isinstance(event, Noted):
            self._facts |= _facts_of(event.notes)
            for model in event.notes.failed_models:
                self._metrics.fell_back(model)
        elif isinstance(event, Ended):
            self._end(event)

    def _end(self, event: Ended) -> None:
        if event.ending is Ending.BUDGET:
            self._outcome = str(QuotaExceeded.code)
        used = event.usage
        self._facts["prompt_tokens"] += used.prompt
        self._facts["completion_tokens"] += used.output
        self._costs.append(event.cost_usd)
        if (cost := sum_costs(self._costs)) is not None:
            self._facts["cost_usd"] = round(cost, 9)
        else:  # a part of the cost would pass for all of it
            self._facts.pop("cost_usd", None)

    def done(self) -> None:
        self._outcome = self._outcome or DONE

    def fail(self, error: Exception) -> None:
        """Note that the request failed, with the code that the client gets."""
        self._outcome = outcome_of_error(error)
        self._error = error

    def close(self, usage: RequestUsage | None = None) -> None:
        """Log the request with its *usage*. If it is not done and did not fail, its client left."""
        if self._closed:
            return
        self._closed = True
        timing, outcome = self.timing, self._outcome or CLIENT_GONE
        timing.over()
        source = {"source": timing.source} if timing.source else {}
        times = {f"{name}_ms": round(took * 1000) for name, took in timing.parts().items()}
        facts = {**self._facts, **source, **times, "outcome": outcome}
        if self._error:
            facts |= facts_of_error(self._error)
        failed = self._error and not isinstance(self._error, ClientGone)
        log.log(logging.WARNING if failed else logging.INFO, "request", extra={"facts": facts})
        if self._history:
            self._history.add(facts, usage)
        self._metrics.timed(self._profile, timing)
        if outcome != DONE:
            self._metrics.failed(outcome)
        self._trace.close(outcome, self._error)
        if self._signals:
            self._signals.finish(outcome)


def _origin(caller: Caller, draft: Draft) -> dict[str, Any]:
    """Return what is known of where a request comes from."""
    facts = {
        "client": caller.address,
        "session": draft.request.session_id,
        "client_session": caller.client_session[:LONGEST_ID],
        # OpenAI's parameter often has an e-mail address.
        "user": draft.request.user[:LONGEST_ID] if draft.request.body else "",
    }
    return {name: value for name, value in facts.items() if value}


def conversation_of(turn: Turn) -> Iterator[Sequence[str]]:
    """Yield the role of each message and its texts."""
    if turn.body is None:
        yield from ((message.role, *map(str, message.parts)) for message in turn.messages)
        return
    for message in turn.body["messages"]:
        content = message["content"]
        texts = [content] if isinstance(content, str) else map(_text_of, content)
        yield message["role"], *texts


def _text_of(block: Mapping[str, Any]) -> str:
    """Return the text of *block*, or its type if it is another kind of block."""
    return str(block.get("text", f"<{block.get('type')}>"))


def outcome_of_error(error: BaseException) -> str:
    """Return the code of *error* that the client gets."""
    code = error.code or error.type if isinstance(error, ApiError) else None
    return code or "internal_error"


def facts_of_error(error: Exception) -> dict[str, Any]:
    """Return the status of *error* and its message, in which callers' words are redacted."""
    if isinstance(error, ApiError):
        return {"status": error.status, "error": Redacted(error.message, error.redacted())}
    return {"status": ApiError.status, "error": Redacted(error)}


def _facts_of(notes: Notes) -> dict[str, str]:
    """Return those notes that come up while turns run, by their names in the log."""
    facts = {
        "adapted_params": ", ".join(notes.adapted_params),
        "retried_params": ", ".join(notes.retried_params),
        "unmet_params": ", ".join(notes.unmet_params),
        "ended_early": notes.ended_early,
        "failed_models": ", ".join(notes.failed_models),
    }
    return {name: value for name, value in facts.items() if value}
