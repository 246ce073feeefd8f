"""The runner of responses in the background: it runs the turn of each, and logs its events."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from wrapper.errors import (
    ApiError,
    ItemNotFound,
    RateLimited,
    ShuttingDown,
    TurnStopped,
    Unavailable,
)
from wrapper.json_text import Bytes, Json
from wrapper.notes import Notes
from wrapper.services.background.offload.runner import caller_name
from wrapper.services.fronts.responses import (
    ResponseRequest,
    ResponsesPresenter,
    failure_code,
)
from wrapper.services.jobs.job import JobStatus
from wrapper.services.jobs.records import LOST, error_of
from wrapper.services.jobs.running import RunningJob
from wrapper.services.principal import Caller
from wrapper.services.responses.background.event_log import EventLog
from wrapper.services.responses.background.job_request import JobRequest, decode
from wrapper.services.responses.background.recorder import EventRecorder
from wrapper.services.responses.background.run_watch import RunWatch
from wrapper.services.responses.background.turns import OpenedRun, Turns
from wrapper.services.responses.response_turn import ResponseTurn
from wrapper.services.responses.service import PREVIOUS_NOT_FOUND, ResponseService
from wrapper.settings import Settings

# The number of the first event of the turn, after those of the wait: created, and queued.
FIRST = 2
# Seconds until a response that could not begin is tried again.
RETRY = 1.0
# How many times SESSION_MAX_BYTES the events may have: they repeat texts, and have a form.
EVENTS_FACTOR = 4

# How a response has ended, and why it failed.
End = tuple[JobStatus, Json | None]


class ResponseRunner:
    """Runs the jobs of responses by *turns*, and logs their events in *log*.

    *load* loads the body of a request, and *name_notes* returns notes by their names. *settings*
    say how long events may be, and how long stored responses live after their last use.
    """

    def __init__(
        self,
        responses: ResponseService,
        turns: Turns,
        log: EventLog,
        load: Callable[[Bytes], ResponseRequest],
        name_notes: Callable[[Notes], dict[str, str]],
        settings: Settings,
    ):
        self._responses = responses
        self._turns = turns
        self._log = log
        self._load = load
        self._name_notes = name_notes
        self._most = EVENTS_FACTOR * settings.session_max_bytes
        self._ttl = settings.session_ttl

    def run(self, running: RunningJob) -> None:
        """Run the response of a job, or put the job back if it cannot begin now."""
        request, watch = decode(running.content), RunWatch(running, self._ttl)
        # The request has counted against its key's rate when it came.
        caller = Caller(
            running.principal,
            request.request_id,
            watch.gone,
            admitted=True,
            background=True,
            lasting=True,
        )
        caller_name.set(caller.principal.name)
        if turn := self._begin(running, request, caller):
            watch.keep(turn)
            self._run(running, turn, self._presenter(request, turn), caller)

    def _run(
        self,
        running: RunningJob,
        turn: ResponseTurn,
        presenter: ResponsesPresenter,
        caller: Caller,
    ) -> None:
        """Run a turn and end its job, or put the job back if the turn cannot begin now."""
        try:
            run = self._turns.open(turn.request.request, caller, presenter.remember)
        except (RateLimited, ShuttingDown) as error:
            running.again(error.retry_after or RETRY)
        except TurnStopped:
            if running.abandoned:
                running.again()  # nothing of it has begun
            else:
                running.end(JobStatus.CANCELLED)
        except ApiError as error:
            _fail(running, error)
        else:
            recorder = EventRecorder(self._log, running.job.id, FIRST, self._most)
            ending = _record(run, presenter, recorder)
            if ending[0] is JobStatus.CANCELLED and running.abandoned:
                ending = JobStatus.FAILED, error_of(LOST)
            if not (running.end(*ending) or running.has_ended(ending[0])):
                self._forget(running)

    def _forget(self, running: RunningJob) -> None:
        """Delete what is stored of a response whose job was deleted or given up while it ran."""
        with suppress(ApiError):
            self._responses.delete(running.principal, running.job.id)

    def _begin(
        self, running: RunningJob, request: JobRequest, caller: Caller
    ) -> ResponseTurn | None:
        """Return the turn of a job; None if it cannot begin now, or ever."""
        try:
            turn = self._responses.begin(self._load(request.body), caller)
        except Unavailable as error:  # the store of responses is away, as Redis may be
            running.again(error.retry_after or RETRY)
            return None
        except ApiError as error:
            _fail(running, _lost(error))
            return None
        turn.token = request.token
        return turn

    def _presenter(self, request: JobRequest, turn: ResponseTurn) -> ResponsesPresenter:
        return ResponsesPresenter(
            turn.request,
            lambda notes: self._name_notes(turn.relocated(notes)),
            token=turn.token,
            keep=turn.keep,
            created_at=request.response["created_at"],
        )


def _fail(running: RunningJob, error: ApiError) -> None:
    """End a job because of *error*, before its turn has begun."""
    code = failure_code(error, used_tools=False)
    running.end(JobStatus.FAILED, {"code": code, "message": error.message})


def _lost(error: ApiError) -> ApiError:
    """Return *error*, which says of what is missing that it was there when the request came."""
    if error.code not in (PREVIOUS_NOT_FOUND, ItemNotFound.code):
        return error
    why = "It was there when the request came, and was gone before the turn began."
    return error.replace(message=f"{error.message} {why}")


def _record(run: OpenedRun, presenter: ResponsesPresenter, recorder: EventRecorder) -> End:
    """Log the events of *run* as they come, and return how it has ended."""
    last: Json = {}
    try:
        with run:
            for event in presenter.chunks(run):
                if event is None or event["type"] != "response.created":
                    recorder.add(event)
                    last = event or last
            recorder.flush()
    except ApiError as error:
        failed = None if isinstance(error, TurnStopped) else presenter.failure(error)
        with suppress(Unavailable):  # then the job alone says how it has ended
            recorder.add(failed)
            recorder.flush()
        if failed is None:
            return JobStatus.CANCELLED, None
        return JobStatus.FAILED, failed["response"]["error"]
    return JobStatus(last["response"]["status"]), None
