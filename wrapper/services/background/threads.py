"""Threads that run jobs in the background, each of them once or not at all."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class Threads(ThreadPoolExecutor):
    """A thread pool that withdraws a job for which it can start no thread.

    ThreadPoolExecutor raises RuntimeError then, and yet has the job done by the next thread that is
    free, so that it runs twice if whoever asked for it runs it in another way.
    """

    def submit(self, function: Callable[..., T], /, *arguments: Any, **named: Any) -> Future[T]:
        """Return the future result. Raises RuntimeError if the job will not run."""
        future: Future[T] = Future()

        def run() -> None:
            if future.set_running_or_notify_cancel():
                _settle(future, lambda: function(*arguments, **named))

        try:
            job = super().submit(run)
        except RuntimeError:
            if future.cancel():  # a thread may have taken it meanwhile
                raise
        else:
            job.add_done_callback(lambda job: job.cancelled() and future.cancel())
        return future


def _settle(future: Future[T], function: Callable[[], T]) -> None:
    try:
        result = function()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
