"""The service of responses in the background: begins, reads, follows and ends them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

from wrapper.errors import InvalidRequest, RequestTooLarge, ResponseNotFound
from wrapper.json_text import Bytes, Json
from wrapper.notes import Notes
from wrapper.services.fronts.response_fold import ENDS, ResponseFold
from wrapper.services.fronts.responses import ResponseRequest, ResponsesPresenter
from wrapper.services.jobs.job import Job, JobStatus, JobView
from wrapper.services.jobs.service import Jobs
from wrapper.services.principal import Caller, Principal
from wrapper.services.responses.background.event_log import EventLog
from wrapper.services.responses.background.job_request import (
    JobRequest,
    encode,
    queued_response,
    token_of,
)
from wrapper.services.responses.background.runner import FIRST
from wrapper.services.responses.background.turns import Turns
from wrapper.services.responses.history import as_kept
from wrapper.services.responses.records import RESPONSE_ID
from wrapper.services.responses.response_turn import ResponseTurn
from wrapper.services.responses.service import ResponseService, missing

KIND = "response"
# Seconds that a follower waits for an event before it looks whether the job has ended.
WAIT = 1.0
# Seconds that a caller waits for the end of a turn that they cancel, and between two looks.
ENDING = 10.0
LOOK = 0.05
NOT_STORED = (
    "background: a response in the background has to be stored; send it without store: false, to a "
    "gateway that stores responses (SESSION_STORE, RESPONSES_STORE)."
)
INPUT_DROPPED = (
    "The input of a response in the background that has ended can be read only if the response is "
    "stored; this one was cancelled or failed before its turn began, or its time in the store is "
    "over."
)
TOO_LARGE = (
    "background: the request has more bytes than SESSION_MAX_BYTES, so its response could not be "
    "stored; send less, or without background."
)


class BackgroundResponses:
    """The responses that run as *jobs*, whose events are in *log*, and those of *responses*.

    *turns* checks their turns, and *load* loads the body of a request. Jobs are kept for *ttl*
    seconds after their end.
    """

    def __init__(
        self,
        responses: ResponseService,
        jobs: Jobs,
        log: EventLog,
        turns: Turns,
        load: Callable[[Bytes], ResponseRequest],
        *,
        ttl: int,
    ):
        self._responses = responses
        self._jobs = jobs
        self._log = log
        self._turns = turns
        self._load = load
        self._ttl = ttl

    def begin(self, turn: ResponseTurn, body: Bytes, caller: Caller) -> tuple[Json, Notes]:
        """Queue the response of *turn*, whose request has this *body*, and return it, and notes.

        Raises InvalidRequest where it cannot be kept, RateLimited if too many of the caller's wait,
        and what a turn raises before it runs.
        """
        asked = turn.request
        if not asked.repeated["store"]:
            raise InvalidRequest(NOT_STORED, param="background", code="invalid_value")
        if len(body) > turn.max_bytes:
            raise RequestTooLarge(TOO_LARGE, param="background")
        draft = self._turns.check(asked.request, caller)
        notes = turn.relocated(draft.notes)
        presenter = ResponsesPresenter(asked, lambda _: {}, token=turn.token)
        queued = presenter.queued(draft.model)
        request = JobRequest(queued, caller.request_id, bytes(body))
        owner = caller.principal.name
        self._jobs.submit(Job(queued["id"], KIND, owner, self._ttl), encode(request))
        return queued, notes

    def read(self, principal: Principal, id_: str) -> Json:
        """Return a response: as it is stored, or else with its output so far.

        Raises ResponseNotFound.
        """
        try:
            return self._responses.read(principal, id_)
        except ResponseNotFound:
            view = self._find(principal, id_)
            if view is None:
                raise
            return self._at_present(view)

    def status(self, principal: Principal, id_: str) -> JobStatus | None:
        """Return the status of a response in the background; None if there is none."""
        view = self._find(principal, id_)
        return view.state.status if view else None

    def read_input(self, principal: Principal, id_: str) -> Sequence[Json]:
        """Return the items of a response's own input. Raises ResponseNotFound."""
        try:
            return self._responses.read_input(principal, id_)
        except ResponseNotFound:
            view = self._find(principal, id_)
            if view is None:
                raise
            body = self._jobs.request(id_)
            if body is None:
                raise ResponseNotFound(INPUT_DROPPED, param="response_id") from None
            items = (item.sent for item in self._load(body).input)
            return [*as_kept(items, token_of(id_))]

    def follow(self, principal: Principal, id_: str, after: int) -> Iterator[Json | None]:
        """Yield the events with a number above *after* as they come, and None while none comes.

        Raises ResponseNotFound, or InvalidRequest where the response is none in the background.
        """
        view = self._find(principal, id_)
        if view is None:
            self._refuse(principal, id_, "streamed")
        return self._events(principal, view, after)

    def cancel(self, principal: Principal, id_: str) -> Json:
        """End a response, and return it. One that is cancelled stays so.

        Raises ResponseNotFound, or InvalidRequest where it has ended otherwise.
        """
        view = self._stop(principal, id_)
        if view is None:
            self._refuse(principal, id_, "cancelled")
        if view.ended and view.state.status is not JobStatus.CANCELLED:
            raise _refusal(f"the response is {view.state.status}, and cannot be cancelled")
        return self._at_present(view)

    def delete(self, principal: Principal, id_: str) -> None:
        """Delete a response, and end it first if it runs. Raises ResponseNotFound."""
        view = self._stop(principal, id_)
        if view:
            self._jobs.delete(principal.name, id_)
            self._log.delete(id_)
        try:
            self._responses.delete(principal, id_)
        except ResponseNotFound:
            if view is None:
                raise

    def delete_all(self, owner: str) -> int:
        """Delete all responses in the background of *owner*, and return how many there were.

        One that waits never begins, and one that runs ends within a second. Raises Unavailable.
        """
        ids = [id_ for id_ in self._jobs.ids(owner) if RESPONSE_ID.fullmatch(id_)]
        for id_ in ids:
            self._jobs.delete(owner, id_)
            self._log.delete(id_)
        return len(ids)

    def close(self) -> None:
        self._log.close()

    def _find(self, principal: Principal, id_: str) -> JobView | None:
        return self._jobs.find(principal.name, id_) if RESPONSE_ID.fullmatch(id_) else None

    def _queued(self, view: JobView) -> Json:
        """Return a response as it was queued. Raises ResponseNotFound."""
        summary = self._jobs.summary(view.job.id)
        if summary is None:
            raise missing(view.job.id)
        return queued_response(summary)

    def _stop(self, principal: Principal, id_: str) -> JobView | None:
        """Cancel a response, wait a moment for its end, and return what it is then."""
        if self._find(principal, id_) is None:
            return None
        view = self._jobs.cancel(principal.name, id_)
        until = time.monotonic() + ENDING
        while view and not view.ended and time.monotonic() < until:
            time.sleep(LOOK)
            view = self._find(principal, id_)
        return view

    def _refuse(self, principal: Principal, id_: str, what: str) -> NoReturn:
        """Say why a response without a job cannot be streamed or cancelled.

        Raises ResponseNotFound, or InvalidRequest.
        """
        if self._responses.read(principal, id_)["background"]:
            raise _refusal(f"the response ended long ago, and cannot be {what} any more")
        raise _refusal(f"only a response with background: true can be {what}")

    def _at_present(self, view: JobView) -> Json:
        """Return a response as its job and its events say it is."""
        if view.state.status is JobStatus.QUEUED:
            return self._queued(view)
        fold, last = self._fold(view)
        if last and last["type"] in ENDS:
            ended: Json = last["response"]
            return ended
        return _ended(view, fold) if view.ended else fold.running()

    def _fold(self, view: JobView) -> tuple[ResponseFold, Json | None]:
        """Return what the events of a response add up to, and the last one."""
        fold, last, after = ResponseFold(self._queued(view)), None, FIRST - 1
        while events := self._log.read(view.job.id, after):
            for event in events:
                last = json.loads(event.text)
                fold.add(last)
            after = events[-1].number
        return fold, last

    def _events(self, principal: Principal, view: JobView, after: int) -> Iterator[Json | None]:
        if after < FIRST - 1:
            first = _first(self._queued(view))
            yield from (each for each in first if each["sequence_number"] > after)
        after, id_, ended = max(after, FIRST - 1), view.job.id, view.ended
        while True:
            events = self._log.read(id_, after, 0 if ended else WAIT)
            for logged in events:
                event, after = json.loads(logged.text), logged.number
                yield event
                if event["type"] in ENDS:
                    return
            if events:
                continue
            if ended:
                yield from self._end(view, after)
                return
            yield None
            found = self._find(principal, id_)
            if found is None:
                return
            view, ended = found, found.ended

    def _end(self, view: JobView, after: int) -> Iterator[Json]:
        """Yield the event that ends the stream of a response whose events do not say how."""
        fold, last = self._fold(view)
        number = last["sequence_number"] + 1 if last else FIRST
        if not (last and last["type"] in ENDS) and number > after:
            response = _ended(view, fold)
            kind = f"response.{view.state.status}"
            yield {"type": kind, "response": response, "sequence_number": number}


def _first(response: Json) -> Iterator[Json]:
    """Yield the events of a response that is queued."""
    for number, kind in enumerate(("response.created", "response.queued")):
        yield {"type": kind, "response": response, "sequence_number": number}


def _ended(view: JobView, fold: ResponseFold) -> Json:
    """Return a response that has ended early, as its job says."""
    error = view.state.error
    reason = {"code": error["code"], "message": error["message"]} if error else None
    return fold.ended(view.state.status, reason)


def _refusal(why: str) -> InvalidRequest:
    return InvalidRequest(f"response_id: {why}.", param="response_id", code="invalid_value")
