"""The service of batches: callers create, read, list and cancel their own."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

from wrapper.errors import (
    BatchEnded,
    BatchNotFound,
    InvalidRequest,
    RateLimited,
    StoredFileNotFound,
)
from wrapper.services.batches.batch import (
    ENDED,
    KIND,
    PREFIX,
    WINDOW_SECONDS,
    BatchRequest,
    BatchState,
    BatchStatus,
)
from wrapper.services.batches.redis_store import RedisBatchStore
from wrapper.services.batches.runner import BatchRunner
from wrapper.services.batches.sqlite_store import SqliteBatchStore
from wrapper.services.batches.store import BatchStore
from wrapper.services.batches.view import BatchView
from wrapper.services.files.service import FileService
from wrapper.services.jobs.job import Job, JobContent, JobStatus, JobView
from wrapper.services.jobs.job_list import JobList
from wrapper.services.jobs.service import Jobs
from wrapper.services.listing import Listing, ListQuery
from wrapper.services.principal import Principal
from wrapper.settings import Settings

# An owner, the type of an event, and the id of the batch.
Announce = Callable[[str, str, str, Callable[[], None]], None]

# What the end of a job means for its batch, where the two have different words for it.
STATUS = {JobStatus.INCOMPLETE: BatchStatus.EXPIRED}


class BatchService:
    """The batches in *store*, which run as jobs of *jobs*, and whose files are in *files*.

    *announce* tells an owner that something of this type has happened to the batch of this id.
    `lines_waiting` is how many lines of all owners' batches had not begun when it last looked.
    """

    def __init__(self, store: BatchStore, files: FileService, jobs: Jobs, announce: Announce):
        self._store = store
        self._files = files
        self._jobs = jobs
        self._announce = announce
        self.lines_waiting = 0
        jobs.watch_waiting(self._count_waiting)
        jobs.handle(KIND, BatchRunner(store, files, jobs).run, self._report_end)

    def create(self, owner: str, request: BatchRequest) -> BatchView:
        """Begin a batch. Raises InvalidRequest, QuotaExceeded, RateLimited or Unavailable."""
        self._check_input(owner, request.input_file_id)
        self._files.check_room(owner)  # as its results are stored whatever they take
        id_, now = f"{PREFIX}{secrets.token_hex(16)}", time.time()
        ttl = self._files.ttl
        self._store.forget(now)
        # A day longer than its job, which is kept for the ttl after the end of the batch.
        self._store.create(id_, now + 2 * WINDOW_SECONDS + ttl)
        try:
            content = JobContent(summary=request.encode())
            self._jobs.submit(Job(id_, KIND, owner, ttl, resumes=True), content)
        except (InvalidRequest, RateLimited):
            self._store.delete(id_)
            raise
        return self.read(owner, id_)

    def read(self, owner: str, id_: str) -> BatchView:
        """Return a batch. Raises BatchNotFound."""
        view = self._jobs.find(owner, id_) if id_.startswith(PREFIX) else None
        if view is None:
            raise _missing(id_)
        return self._view(view)

    def search(self, principal: Principal, query: ListQuery) -> Listing[BatchView]:
        """Return batches of *principal*, or as an admin of all keys, the newest first.

        Raises PermissionDenied as `JobList.search` does.
        """
        listing = JobList(self._jobs, PREFIX).search(principal, query)
        rows: list[BatchView] = []
        for view in listing.rows:
            with suppress(BatchNotFound):  # it has just expired
                rows.append(self._view(view))
        return listing.of(rows)

    def ids(self, owner: str) -> Sequence[str]:
        """Return the ids of the owner's batches, the newest first."""
        return [id_ for id_ in self._jobs.ids(owner) if id_.startswith(PREFIX)]

    def cancel(self, owner: str, id_: str) -> BatchView:
        """Cancel a batch; its lines that run end within a second.

        Raises BatchNotFound, or BatchEnded if it has ended otherwise.
        """
        view = self.read(owner, id_)
        status = view.status
        if status in ENDED and status != "cancelled":
            raise BatchEnded(
                f"Cannot cancel a batch with status {status.value!r}.",
                param="batch_id",
                retry=False,  # which libraries do with other conflicts
            )
        if not view.state.facts.get("cancelling_at"):
            self._store.change(id_, {"cancelling_at": int(time.time())})
        self._jobs.cancel(owner, id_)  # also where an earlier attempt failed here
        return self.read(owner, id_)

    def delete_all(self, owner: str) -> int:
        """Delete all batches of *owner*, but not their files, and return how many there were.

        Lines that run end within a second. Raises Unavailable.
        """
        ids = self.ids(owner)
        for id_ in ids:
            self._store.delete(id_)
            self._jobs.delete(owner, id_)  # last, since it names what is to be deleted
        return len(ids)

    def watch(self, id_: str) -> BatchView | None:
        """Return a batch of any owner, for the operator."""
        view = self._jobs.look(id_)
        return self._view(view) if view and view.job.kind == KIND else None

    def close(self) -> None:
        self._store.close()

    def _check_input(self, owner: str, id_: str) -> None:
        """Raise InvalidRequest or StoredFileNotFound if no file of the owner's can be the input."""
        try:
            file = self._files.find(owner, id_)
        except StoredFileNotFound as error:
            raise error.replace(param="input_file_id") from None
        if file.purpose != "batch":
            raise InvalidRequest(
                f"input_file_id: the purpose of this file is {file.purpose!r}; upload it with the "
                "purpose batch.",
                param="input_file_id",
                code="invalid_value",
            )

    def _view(self, view: JobView) -> BatchView:
        id_ = view.job.id
        summary = self._jobs.summary(id_)
        if summary is None:  # it has just expired
            raise _missing(id_)
        state = self._store.read(id_) or BatchState()
        return BatchView(view, BatchRequest.decode(summary), state)

    def _count_waiting(self, ids: Collection[str]) -> None:
        # A batch of which lines wait does so itself, but for moments.
        batches = [id_ for id_ in ids if id_.startswith(PREFIX)]
        self.lines_waiting = self._store.lines_waiting(batches) if batches else 0

    def _report_end(self, view: JobView, stored: Callable[[], None]) -> None:
        status = STATUS.get(view.state.status, view.state.status)
        self._announce(view.job.owner, f"batch.{status}", view.job.id, stored)


def _missing(id_: str) -> BatchNotFound:
    return BatchNotFound(
        f"No such batch: {id_[:128]!r}. It has expired, or belongs to another key.",
        param="batch_id",
    )


def open_batches(
    settings: Settings, files: FileService, jobs: Jobs, announce: Announce
) -> BatchService:
    """Return the service on the store that *settings* choose for jobs, too."""
    store: BatchStore = SqliteBatchStore(settings.jobs_db)
    if "://" in settings.session_store:
        store = RedisBatchStore(settings.session_store)
    return BatchService(store, files, jobs, announce)
