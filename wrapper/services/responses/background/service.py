"""The service of responses in the background: begins, reads, follows and ends them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

from wrapper.errors import InvalidRequest, RequestTooLarge, ResponseNotFound
from wrapper.json_text import Bytes, Json
from wrapper.notes import Notes
from wrapper.services.fronts.response_fold import ENDS
from wrapper.services.fronts.responses import ResponseRequest, ResponsesPresenter
from wrapper.services.jobs.job import Job, JobStatus, JobView
from wrapper.services.jobs.job_list import JobList
from wrapper.services.jobs.service import Jobs
from wrapper.services.listing import Listing, ListQuery
from wrapper.services.principal import Caller, Principal
from wrapper.services.responses.background.event_log import EventLog
from wrapper.services.responses.background.job_request import (
    JobRequest,
    encode,
    queued_response,
    token_of,
)
from wrapper.services.responses.background.logged_response import LoggedResponse
from wrapper.services.responses.background.runner import FIRST
from wrapper.services.responses.background.turns import Turns
from wrapper.services.responses.history import as_kept
from wrapper.services.responses.records import RESPONSE_ID
from wrapper.services.responses.response_turn import ResponseTurn
from wrapper.services.responses.service import ResponseService, missing
from wrapper.services.usage.access import readable_key

KIND = "response"
PREFIX = "resp_"
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

    def read(self, principal: Principal, id_: str, key: str | None = None) -> Json:
        """Return a response: as it is stored, or else with its output so far.

        An admin may name the *key* that has it. Raises ResponseNotFound or PermissionDenied.
        """
        try:
            return self._responses.read(principal, id_, key)
        except ResponseNotFound:
            view = self._find(key or principal.name, id_)
            if view is None:
                raise
            return self._logged(view).at(view.state)

    def search(self, principal: Principal, query: ListQuery) -> Listing[JobView]:
        """Return the jobs of responses, as `JobList.search` does."""
        return JobList(self._jobs, PREFIX).search(principal, query)

    def look(self, principal: Principal, id_: str, key: str | None = None) -> Iterator[Json]:
        """Yield a response in the background, each time as it is then, while it is kept.

        Raises ResponseNotFound or PermissionDenied on the first look, as `read` does, where there
        is no such response in the background.
        """
        owner = _owner(principal, key)
        view = self._find(owner, id_)
        if view is None:
            raise missing(id_)
        logged = self._logged(view)
        while view:
            yield logged.at(view.state)
            view = self._find(owner, id_)

    def status(self, principal: Principal, id_: str) -> JobStatus | None:
        """Return the status of a response in the background; None if there is none."""
        view = self._find(principal.name, id_)
        return view.state.status if view else None

    def read_input(self, principal: Principal, id_: str, key: str | None = None) -> Sequence[Json]:
        """Return the items of a response's own input. Raises as `read` does."""
        try:
            return self._responses.read_input(principal, id_, key)
        except ResponseNotFound:
            view = self._find(key or principal.name, id_)
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
        view = self._find(principal.name, id_)
        if view is None:
            self._refuse(principal, id_, None, "streamed")
        return self._events(principal, view, after)

    def cancel(self, principal: Principal, id_: str, key: str | None = None) -> Json:
        """End a response, and return it. One that is cancelled stays so.

        Raises as `read` does, or InvalidRequest where it has ended otherwise.
        """
        view = self._stop(_owner(principal, key), id_)
        if view is None:
            self._refuse(principal, id_, key, "cancelled")
        if view.ended and view.state.status is not JobStatus.CANCELLED:
            raise _refusal(f"the response is {view.state.status}, and cannot be cancelled")
        return self._logged(view).at(view.state)

    def delete(self, principal: Principal, id_: str, key: str | None = None) -> None:
        """Delete a response, and end it first if it runs. Raises as `read` does."""
        owner = _owner(principal, key)
        view = self._stop(owner, id_)
        if view:
            self._delete(owner, id_)
        try:
            self._responses.delete(principal, id_, key)
        except ResponseNotFound:
            if view is None:
                raise

    def delete_all(self, owner: str) -> int:
        """Delete all responses in the background of *owner*, and return how many there were.

        One that waits never begins, and one that runs ends within a second. Raises Unavailable.
        """
        ids = [id_ for id_ in self._jobs.ids(owner) if RESPONSE_ID.fullmatch(id_)]
        for id_ in ids:
            self._delete(owner, id_)
        return len(ids)

    def close(self) -> None:
        self._log.close()

    def _delete(self, owner: str, id_: str) -> None:
        self._log.delete(id_)  # before the job, which is what names it
        self._jobs.delete(owner, id_)
        self._log.delete(id_)  # a turn that ran may have added to it

    def _find(self, owner: str, id_: str) -> JobView | None:
        return self._jobs.find(owner, id_) if RESPONSE_ID.fullmatch(id_) else None

    def _logged(self, view: JobView) -> LoggedResponse:
        return LoggedResponse(self._log, self._queued(view))

    def _queued(self, view: JobView) -> Json:
        """Return a response as it was queued. Raises ResponseNotFound."""
        summary = self._jobs.summary(view.job.id)
        if summary is None:
            raise missing(view.job.id)
        return queued_response(summary)

    def _stop(self, owner: str, id_: str) -> JobView | None:
        """Cancel a response, wait a moment for its end, and return what it is then."""
        if self._find(owner, id_) is None:
            return None
        view = self._jobs.cancel(owner, id_)
        until = time.monotonic() + ENDING
        while view and not view.ended and time.monotonic() < until:
            time.sleep(LOOK)
            view = self._find(owner, id_)
        return view

    def _refuse(self, principal: Principal, id_: str, key: str | None, what: str) -> NoReturn:
        """Say why a response without a job cannot be streamed or cancelled.

        Raises ResponseNotFound, or InvalidRequest.
        """
        if self._responses.read(principal, id_, key)["background"]:
            raise _refusal(f"the response ended long ago, and cannot be {what} any more")
        raise _refusal(f"only a response with background: true can be {what}")

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
                end = self._logged(view).end(view.state)
                if end and end["sequence_number"] > after:
                    yield end
                return
            yield None
            found = self._find(principal.name, id_)
            if found is None:
                return
            view, ended = found, found.ended


def _first(response: Json) -> Iterator[Json]:
    """Yield the events of a response that is queued."""
    for number, kind in enumerate(("response.created", "response.queued")):
        yield {"type": kind, "response": response, "sequence_number": number}


def _owner(principal: Principal, key: str | None) -> str:
    return readable_key(principal, key, f"the responses of {key!r}") or principal.name


def _refusal(why: str) -> InvalidRequest:
    return InvalidRequest(f"response_id: {why}.", param="response_id", code="invalid_value")
