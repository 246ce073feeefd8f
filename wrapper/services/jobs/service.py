"""The job service: callers hand jobs over, and workers run them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Sequence
from typing import Any

from wrapper.errors import InvalidRequest, RateLimited, RequestTooLarge, Unavailable
from wrapper.ids import new_id
from wrapper.services.jobs.answer import Dispatch
from wrapper.services.jobs.consumer import Consumer, Run
from wrapper.services.jobs.job import Job, JobContent, JobView
from wrapper.services.jobs.queue import JobQueue
from wrapper.services.jobs.records import JobRecords
from wrapper.services.jobs.redis_queue import RedisQueueStorage
from wrapper.services.jobs.redis_store import RedisJobStore
from wrapper.services.jobs.reports import Ended, EndReports
from wrapper.services.jobs.running import Worker
from wrapper.services.jobs.sqlite_queue import SqliteQueueStorage
from wrapper.services.jobs.sqlite_store import SqliteJobStore
from wrapper.services.jobs.steady_time import SteadyTime
from wrapper.services.jobs.store import JobStore, Room
from wrapper.services.jobs.upkeep import Upkeep
from wrapper.services.listing import Key
from wrapper.services.principal import Principal
from wrapper.services.redis_client import RedisClient, StoreRedis
from wrapper.services.telemetry.metrics import Metrics
from wrapper.settings import Settings

# Seconds after which a caller with too many jobs may try again.
RETRY = 30


class Jobs:
    """The jobs of all callers, as *records* keep them. This process runs *most* of them at once.

    The jobs of an owner that are kept, whether they wait, run or have ended, may take *room*.
    *principal_of* returns the principal of a name, or None.
    """

    def __init__(
        self,
        records: JobRecords,
        worker: Worker,
        principal_of: Callable[[str], Principal | None],
        *,
        most: int,
        room: Room,
    ):
        self._principal_of = principal_of
        self._room = room
        self._runs: dict[str, Run] = {}
        self._records = records
        self._consumer = Consumer(self._records, worker, self._runs, principal_of, most=most)
        self._upkeep = Upkeep(self._records, self._consumer, worker.id, SteadyTime())
        self._worker = worker
        self._started = False
        self._beginning = threading.Lock()
        self._begun = False

    def handle(self, kind: str, run: Run, ended: Ended = lambda view, done: done()) -> None:
        """Let *run* do the jobs of a kind. *ended* reports that one of them has ended.

        That may be in another process than the one that ran it, and again if that process dies
        before the report is stored. It may not take long.
        """
        self._runs[kind] = run
        self._records.reports.handlers[kind] = ended

    def watch_waiting(self, look: Callable[[Collection[str]], None]) -> None:
        """Let *look* see the ids of the jobs that wait, every few seconds.

        It may raise Unavailable.
        """
        self._upkeep.on_waiting = look

    def submit(self, job: Job, content: JobContent) -> None:
        """Store a job and put it into the queue.

        Raises InvalidRequest if its owner cannot be found by name, RequestTooLarge, RateLimited if
        the jobs of theirs that are kept leave no room, and Unavailable.
        """
        if self._principal_of(job.owner) is None:
            raise InvalidRequest(
                "The app around this gateway says who calls, so nothing can run for a caller who "
                "does not wait; send the request without it."
            )
        if content.size > self._room.bytes:
            raise RequestTooLarge(
                f"The request takes {content.size} bytes while it waits, and those of a key may "
                f"take {self._room.bytes} (JOBS_MAX_BYTES); send less, or without background."
            )
        if not self._records.add(job, content, self._room):
            raise self._full(job.owner)
        self._begin()

    def _full(self, owner: str) -> RateLimited:
        return RateLimited(
            f"The gateway keeps {self._room.jobs} background responses and batches of the key "
            f"{owner!r} (MAX_JOBS_OF_KEY), and {self._room.bytes} bytes of their requests "
            "(JOBS_MAX_BYTES); it has no room for this one. Wait until some end or expire, or "
            "delete responses that have ended, which count until then.",
            retry_after=RETRY,
        )

    def find(self, owner: str, id_: str) -> JobView | None:
        """Return the owner's job of this id. Raises Unavailable."""
        view = self.look(id_)
        return view if view and view.job.owner == owner else None

    def look(self, id_: str) -> JobView | None:
        """Return the job of this id, whoever owns it. Raises Unavailable."""
        return self._records.store.find(id_) if self._exists() else None

    def request(self, id_: str) -> bytes | None:
        """Return the request of a job that has not ended, whoever owns it. Raises Unavailable."""
        return self._records.store.request(id_) if self._exists() else None

    def summary(self, id_: str) -> bytes | None:
        """Return the summary of a job, whoever owns it. Raises Unavailable."""
        return self._records.store.summary(id_) if self._exists() else None

    def ids(self, owner: str) -> Sequence[str]:
        """Return the ids of the owner's jobs, the newest first. Raises Unavailable."""
        return self._records.store.ids(owner) if self._exists() else ()

    def keys(self, most: int) -> Sequence[Key]:
        """Return owners and ids of the newest jobs of all, the newest first. Raises Unavailable."""
        return self._records.store.keys(most) if self._exists() else ()

    def cancel(self, owner: str, id_: str) -> JobView | None:
        """Cancel the owner's job of this id, and return it as it is then.

        One that waits ends at once, and one that runs within a second. Others stay as they are.
        """
        if self.find(owner, id_) is None:
            return None
        self._records.cancel(id_)
        self._stop(id_)
        view = self.find(owner, id_)
        if view and view.priority is not None:
            self._consumer.end_waiting(view)
        return view

    def delete(self, owner: str, id_: str) -> bool:
        """Delete the owner's job of this id, and say whether there was one. If it runs, it ends."""
        if self.find(owner, id_) is None or not self._records.store.delete(id_):
            return False
        self._records.store.mark_reported(id_)  # there is no end to report any more
        self._stop(id_)
        return True

    def alive(self, worker: str) -> bool:
        """Say whether a worker lives that has begun a job. Raises Unavailable."""
        return worker == self._worker.id or self._records.store.alive(worker)

    def start(self, *, watch: bool = False) -> None:
        """Start to run jobs, if there are handlers of any.

        Where there is no store yet, the first job of this process starts it, as nothing is to be
        done until then; or *watch* for the jobs of other processes.
        """
        self._started = True
        if watch or self._records.store.exists():
            self._begin()

    def drain(self) -> None:
        """Begin no more jobs."""
        self._consumer.stop()

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait at most so long until no job runs here, and say whether none does."""
        return self._consumer.wait_until_idle(seconds)

    def busy(self) -> bool:
        """Say whether jobs run here."""
        return bool(self._consumer.running())

    def abandon(self) -> None:
        """Stop all jobs here. Those that have not ended are recovered by another worker."""
        self.drain()
        self._upkeep.close()
        running = self._consumer.running()
        for job in running:
            job.abandon()
        if running:
            with contextlib.suppress(Unavailable):
                self._records.store.beat(self._worker.id, 0)

    def close(self) -> None:
        """Abandon the jobs here, and close the store and the queue."""
        self.abandon()
        self._consumer.join()
        self._records.reports.close()
        self._records.queue.close()
        self._records.store.close()

    def health(self) -> dict[str, Any]:
        """Return the state of the store, and the numbers of jobs by kind as they were last seen.

        It is empty if there are no handlers.
        """
        if not self._runs:
            return {}
        counts = self._upkeep.counts
        kinds = {kind: counts.get(kind) for kind in self._runs}
        return {
            **self._records.store.health(),
            "waiting": {kind: each.waiting if each else 0 for kind, each in kinds.items()},
            "running": {kind: each.running if each else 0 for kind, each in kinds.items()},
        }

    def _exists(self) -> bool:
        """Say whether there may be any job; another process may have made the store meanwhile."""
        exists = self._records.store.exists()
        if exists:
            self._begin()
        return exists

    def _begin(self) -> None:
        with self._beginning:
            if self._started and self._runs and not self._begun:
                self._consumer.start()
                self._upkeep.start()
                self._begun = True

    def _stop(self, id_: str) -> None:
        for job in self._consumer.running():
            if job.job.id == id_:
                job.stop()


def open_jobs(
    settings: Settings,
    dispatch: Dispatch,
    principal_of: Callable[[str], Principal | None],
    metrics: Metrics,
    draining: Callable[[], bool],
) -> Jobs:
    """Return the jobs in the Redis of SESSION_STORE, or else in JOBS_DB."""
    store, queue = _open_store(settings)
    return Jobs(
        JobRecords(store, queue, EndReports(store, metrics)),
        Worker(new_id("worker_"), dispatch, draining),
        principal_of,
        most=settings.background_turns,
        room=Room(settings.max_jobs_of_key, settings.jobs_max_bytes),
    )


def _open_store(settings: Settings) -> tuple[JobStore, JobQueue]:
    if "://" not in settings.session_store:
        queue = JobQueue(SqliteQueueStorage(settings.jobs_db))
        return SqliteJobStore(settings.jobs_db), queue
    redis = StoreRedis(RedisClient(settings.session_store, "SESSION_STORE", decode=False), "jobs")
    return RedisJobStore(redis), JobQueue(RedisQueueStorage(redis))
