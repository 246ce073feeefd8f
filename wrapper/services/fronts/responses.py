"""The presenter of the Responses API: writes a run's events as a response, or as its events."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from wrapper.errors import (
    ApiError,
    ContextLengthExceeded,
    Overloaded,
    QuotaExceeded,
    RateLimited,
)
from wrapper.ids import new_id
from wrapper.json_text import Json
from wrapper.notes import NO_NOTES, Notes
from wrapper.services.approvals.presenter import to_json
from wrapper.services.events import (
    ApprovalChanged,
    ApprovedCallRan,
    Ended,
    Ending,
    Event,
    Noted,
    Started,
    ToolUse,
)
from wrapper.services.fronts.presenter import Items
from wrapper.services.fronts.response_output import ResponseOutput
from wrapper.services.fronts.tool_names import ToolNames
from wrapper.services.messages.answer import Answer
from wrapper.services.messages.items import InputItem, rename
from wrapper.services.request import TurnRequest

NOT_KEPT = Notes(ignored_params=("store",))
# Why a response is incomplete. Other endings complete it.
INCOMPLETE = {
    Ending.LENGTH: "max_output_tokens",
    Ending.BUDGET: "max_output_tokens",
    Ending.REFUSED: "content_filter",
}
_CODES: tuple[tuple[type[ApiError], str], ...] = (
    (ContextLengthExceeded, "context_length_exceeded"),
    (QuotaExceeded, "insufficient_quota"),
    (RateLimited, "rate_limit_exceeded"),
    (Overloaded, "server_is_overloaded"),
)


@dataclass(frozen=True)
class ResponseRequest:
    """A valid request of the Responses API: the request to run, and how its answer is written.

    `repeated` are the fields of the response that repeat the request. `names` are those of its
    tools. `locate` returns a path in this API for one in chat completions. The request has the
    messages of `input`, and of what it refers to, once the response service has begun it.
    """

    request: TurnRequest
    repeated: Json
    names: ToolNames
    locate: Callable[[str], str] = rename
    input: tuple[InputItem, ...] = ()
    previous_response_id: str | None = None
    store: bool | None = None
    summary: bool = False
    encrypted: bool = False
    background: bool = False


class ResponsesPresenter:
    """Writes one response. What ends a stream is the sum of the events before it.

    *keep* stores a response, and says whether it could. *created_at* is when a response in the
    background was asked for, in Unix seconds.
    """

    def __init__(
        self,
        request: ResponseRequest,
        name_notes: Callable[[Notes], dict[str, str]],
        *,
        token: str | None = None,
        keep: Callable[[Json], bool] = lambda response: False,
        created_at: int | None = None,
        clock: Callable[[], float] = time.time,
    ):
        token = token or new_id("")
        created_at = int(clock()) if created_at is None else created_at
        self._request = request
        self._name_notes = name_notes
        self._keep = keep
        self._numbers = itertools.count()
        self._head = {"id": f"resp_{token}", "object": "response", "created_at": created_at}
        self._output = ResponseOutput(
            token,
            request.names,
            request.request.mcp_servers or (),
            summary=request.summary,
            encrypted=request.encrypted,
            tool_use=request.request.show_tool_use,
        )
        self._seen = _Seen(request.request.model or "", clock)
        self._stores = bool(request.repeated["store"])
        self._last: list[Json] = []

    def whole(self, items: Items) -> Json:
        """Return the whole response, once *items* have ended."""
        last: Json = {}
        for event in self.chunks(items):
            last = event or last
        response: Json = last["response"]
        return response

    def queued(self, model: str) -> Json:
        """Return the response as it waits for its turn, which *model* is to run."""
        return {**self._response("queued", None), "model": model}

    def chunks(self, items: Items) -> Iterator[Json | None]:
        """Yield the events of a streamed response as *items* come, and None for each None."""
        items = iter(items)
        first = next(items, None)
        if first and isinstance(first[1], Started):
            self._seen.model = first[1].model
        yield self._state("response.created", "in_progress")
        yield self._state("response.in_progress", "in_progress")
        for item in itertools.chain((first,), items):
            if item is None:
                yield None
                continue
            event = item[1]
            if isinstance(event, ApprovalChanged):
                approval = to_json(event.approval)
                yield self._numbered({"type": "claude.approval", "approval": approval})
                continue
            self._seen.add(event)
            yield from map(self._numbered, self._output.add(event))
        self._close()
        yield from map(self._numbered, self._last)
        yield self._state(f"response.{self._status}", self._status)

    def remember(self, answer: Answer) -> None:
        """Store the response, whose turn has ended, before its last event. Raises Unavailable."""
        if answer.ended and answer.ended.ending is not Ending.ABANDONED:
            self._seen.add(answer.ended)
            self._close()
            self._store(self._status)

    def failure(self, error: ApiError) -> Json:
        """Return the event that ends a stream when *error* is raised in its middle.

        The response is stored as failed, so that whoever reads it learns why.
        """
        message = error.relocated(self._request.locate).message
        if isinstance(error, RateLimited) and error.retry_after:
            message = f"{message} Please try again in {error.retry_after} s."
        code = failure_code(error, used_tools=self._seen.used_tools)
        failed = {"code": code, "message": message}
        with suppress(ApiError):  # nobody can read what cannot be stored
            self._store("failed", failed)
        return self._state("response.failed", "failed", failed)

    def keepalive(self) -> Json:
        """Return the event for a time of silence; some clients' timers ignore comments."""
        return self._numbered({"type": "keepalive"})

    def _close(self) -> None:
        """End the output, and keep the last events of its items until they are told."""
        self._last.extend(self._output.close(self._status))

    @property
    def _status(self) -> str:
        return "incomplete" if self._reason else "completed"

    @property
    def _reason(self) -> str | None:
        return INCOMPLETE.get(self._seen.ended.ending) if self._seen.ended else None

    def _numbered(self, event: Json) -> Json:
        return {"type": event["type"], "sequence_number": next(self._numbers), **event}

    def _store(self, status: str, error: Json | None = None) -> None:
        if self._stores:
            response = self._response(status, error)
            self._stores = False  # unless it is kept
            self._stores = self._keep({**response, "output": [*self._output.complete]})
            if not self._stores:
                self._seen.notes |= NOT_KEPT

    def _state(self, event: str, status: str, error: Json | None = None) -> Json:
        """Return the *event* that carries the whole response."""
        return self._numbered({"type": event, "response": self._response(status, error)})

    def _response(self, status: str, error: Json | None) -> Json:
        ended = self._seen.ended
        reason = {"reason": self._reason} if status == "incomplete" else None
        notes = self._name_notes(self._seen.notes) if self._seen.notes else {}
        return {
            **self._head,
            "status": status,
            "background": self._request.background,
            "completed_at": self._seen.completed_at if status == "completed" else None,
            "error": error,
            "incomplete_details": reason,
            **self._request.repeated,
            "store": self._stores,
            "model": self._seen.model,
            "output": [*self._output.items],
            "usage": build_usage(ended) if ended else None,
            **({"notes": notes} if notes else {}),
        }


@dataclass
class _Seen:
    """What a run's events have said about the response as a whole."""

    model: str
    clock: Callable[[], float]
    ended: Ended | None = None
    completed_at: int | None = None
    notes: Notes = NO_NOTES
    used_tools: bool = False

    def add(self, event: Event) -> None:
        match event:
            case Started():
                self.model = event.model
            case ToolUse() | ApprovedCallRan():
                self.used_tools = True
            case Noted():
                self.notes |= event.notes

            case Ended() if self.ended is None:
                self.ended, self.completed_at = event, int(self.clock())


def failure_code(error: ApiError, *, used_tools: bool) -> str:
    """Return the code with which a response fails because of *error*.

    Codex repeats a request unless the code tells it not to. Nothing may invite it to once an
    agent's own tools have run.
    """
    if used_tools:
        return "invalid_prompt"
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return "invalid_prompt" if 400 <= error.status < 500 else "server_error"


def build_usage(ended: Ended) -> Json:
    """Return the usage in this API's form, with its cost in `cost_usd`."""
    usage = ended.usage
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_creation,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total,
        "cost_usd": None if ended.cost_usd is None else round(ended.cost_usd, 9),
    }
