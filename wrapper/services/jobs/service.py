"""The job service: callers hand jobs over, and workers run them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Any

from wrapper.errors import InvalidRequest, RateLimited, Unavailable
from wrapper.ids import new_id
from wrapper.services.jobs.answer import Dispatch
from wrapper.services.jobs.consumer import Consumer, Run
from wrapper.services.jobs.job import Job, JobView
from wrapper.services.jobs.queue import JobQueue
from wrapper.services.jobs.records import JobRecords
from wrapper.services.jobs.redis_queue import RedisQueueStorage
from wrapper.services.jobs.redis_store import RedisJobStore
from wrapper.services.jobs.reports import Ended, EndReports
from wrapper.services.jobs.running import Worker
from wrapper.services.jobs.sqlite_queue import SqliteQueueStorage
from wrapper.services.jobs.sqlite_store import SqliteJobStore
from wrapper.services.jobs.store import JobStore
from wrapper.services.jobs.upkeep import Upkeep
from wrapper.services.principal import Principal
from wrapper.services.redis_client import RedisClient, StoreRedis
from wrapper.services.telemetry.metrics import Metrics
from wrapper.settings import Settings

# Seconds after which a caller with too many jobs may try again.
RETRY = 30


class Jobs:
    """The jobs of all callers. This process runs *most* of them at once.

    Of an owner, *most_of_key* jobs are kept, whether they wait, run or have ended. *principal_of*
    returns the principal of a name, or None.
    """

    def __init__(
        self,
        store: JobStore,
        queue: JobQueue,
        worker: Worker,
        principal_of: Callable[[str], Principal | None],
        metrics: Metrics,
        *,
        most: int,
        most_of_key: int,
    ):
        self._principal_of = principal_of
        self._most_of_key = most_of_key
        self._runs: dict[str, Run] = {}
        self._records = JobRecords(store, queue, EndReports(store, metrics))
        self._consumer = Consumer(self._records, worker, self._runs, principal_of, most=most)
        self._upkeep = Upkeep(self._records, self._consumer, worker.id)
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

    def submit(self, job: Job) -> None:
        """Store a job and put it into the queue.

        Raises InvalidRequest if its owner cannot be found by name, RateLimited if too many of their
        jobs are kept, and Unavailable.
        """
        if self._principal_of(job.owner) is None:
            raise InvalidRequest(
                "The app around this gateway says who calls, so nothing can run for a caller who "
                "does not wait; send the request without it."
            )
        if not self._records.add(job, self._most_of_key):
            raise RateLimited(
                f"{self._most_of_key} background responses and batches of the key {job.owner!r} "
                "are kept already (MAX_JOBS_OF_KEY), those that have ended included; delete "
                "responses that have ended, or wait until some expire.",
                retry_after=RETRY,
            )
        self._begin()

    def find(self, owner: str, id_: str) -> JobView | None:
        """Return the owner's job of this id. Raises Unavailable."""
        view = self.look(id_)
        return view if view and view.job.owner == owner else None

    def look(self, id_: str) -> JobView | None:
        """Return the job of this id, whoever owns it. Raises Unavailable."""
        return self._records.store.find(id_) if self._exists() else None

    def ids(self, owner: str) -> Sequence[str]:
        """Return the ids of the owner's jobs, the newest first. Raises Unavailable."""
        return self._records.store.ids(owner) if self._exists() else ()

    def cancel(self, owner: str, id_: str) -> JobView | None:
        """Cancel the owner's job of this id, and return it as it is then.

        One that waits ends at once, and one that runs within a second. Others stay as they are.
        """
        if self.find(owner, id_) is None:
            return None
        self._records.cancel(id_)
        self._stop(id_)
        return self.find(owner, id_)

    def delete(self, owner: str, id_: str) -> bool:
        """Delete the owner's job of this id, and say whether there was one. If it runs, it ends."""
        if self.find(owner, id_) is None or not self._records.store.delete(id_):
            return False
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
                self._begun = True
                self._consumer.start()
                self._upkeep.start()

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
    return Jobs(
        *_open_store(settings),
        Worker(new_id("worker_"), dispatch, draining),
        principal_of,
        metrics,
        most=settings.background_turns,
        most_of_key=settings.max_jobs_of_key,
    )


def _open_store(settings: Settings) -> tuple[JobStore, JobQueue]:
    if "://" not in settings.session_store:
        queue = JobQueue(SqliteQueueStorage(settings.jobs_db))
        return SqliteJobStore(settings.jobs_db), queue
    redis = StoreRedis(RedisClient(settings.session_store, "SESSION_STORE", decode=False), "jobs")
    return RedisJobStore(redis), JobQueue(RedisQueueStorage(redis))
