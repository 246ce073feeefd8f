"""The upkeep of jobs: each process looks after its own, and after those that others have left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping

from wrapper.errors import Unavailable
from wrapper.services.background.periodic import PeriodicTask
from wrapper.services.jobs.consumer import LEASE, Consumer
from wrapper.services.jobs.records import JobRecords
from wrapper.services.jobs.steady_time import SteadyTime
from wrapper.services.jobs.store import Counts

# Seconds between two looks at whether jobs that run here were cancelled elsewhere.
WATCH = 0.4
# Seconds between two reports that this worker lives.
BEAT = 2.0


class Upkeep:
    """Says that *worker* lives, stops its jobs that were cancelled, and recovers those of the dead.

    It also repeats the reports of ends that the dead may not have stored. `on_waiting` gets the ids
    of the jobs that wait, every few seconds.

    It recovers only once the store could be reached for the time of a lease, and the time of day
    did not jump: otherwise other workers may live that could not say so.
    """

    def __init__(
        self,
        records: JobRecords,
        consumer: Consumer,
        worker: str,
        steady: SteadyTime,
    ):
        self._records = records
        self._consumer = consumer
        self._worker = worker
        self._steady = steady
        self._using_store = threading.Lock()
        self._closed = False
        self.counts: Mapping[str, Counts] = {}
        self.on_waiting: Callable[[Collection[str]], None] = lambda ids: None
        self._tasks = (PeriodicTask(self.watch, WATCH), PeriodicTask(self.tend, BEAT))

    def start(self) -> None:
        """Start, unless that is so. Raises RuntimeError if the machine has no thread."""
        for task in self._tasks:
            task.start()

    def close(self) -> None:
        """Stop, once a look in progress has ended."""
        for task in self._tasks:
            task.close()
        with self._using_store:
            self._closed = True

    def watch(self) -> None:
        """Stop the jobs that run here and are to end."""
        if self._consumer.running():
            self._consumer.stop_revoked()
            self._use_store(self._stop_cancelled)

    def tend(self) -> None:
        """Report that this worker lives, and look after the jobs of all."""
        self._use_store(self._tend)

    def _use_store(self, work: Callable[[], None]) -> None:
        with self._using_store:
            if self._closed or not self._records.store.exists():
                return
            try:
                work()
            except Unavailable:  # the store logs it
                self._steady.restart()

    def _stop_cancelled(self) -> None:
        running = self._consumer.running()
        stopped = self._records.store.stopped([job.job.id for job in running])
        for job in running:
            if job.job.id in stopped:
                job.stop()

    def _tend(self) -> None:
        store = self._records.store
        if self._consumer.running():
            store.beat(self._worker, time.time() + LEASE)
        self._consumer.put_back_unsure()
        self.counts = store.counts()
        if self._steady.seconds() >= LEASE:
            self._records.recover()
        self._records.reports.repeat()
        self.on_waiting(self._records.refill())
        store.expire()
