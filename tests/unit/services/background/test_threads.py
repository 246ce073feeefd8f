"""Threads that run jobs in the background."""

import threading

import pytest

from tests.support.threads import no_thread
from wrapper.services.background.threads import Threads


@pytest.fixture
def threads():
    with Threads(2) as threads:
        yield threads


def test_results(threads):
    """A job's result or error is its future's."""
    assert threads.submit(divmod, 7, 2).result(30) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        threads.submit(divmod, 7, 0).result(30)


def test_no_thread(threads, monkeypatch):
    """A job that could not be started is not run later, as its caller runs it in another way."""
    ran: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(RuntimeError):
            threads.submit(ran.append, 1)
    threads.submit(ran.append, 2).result(30)
    assert ran == [2]


def test_no_further_thread(threads, monkeypatch):
    """A job for which no thread can start runs once, in one that is there, or not at all."""
    ran: list[int] = []
    over = threading.Event()
    busy = threads.submit(over.wait)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(RuntimeError):
            threads.submit(ran.append, 1)
    over.set()
    assert busy.result(30)
    threads.submit(ran.append, 2).result(30)
    assert ran == [2]


def test_shutdown(threads):
    """Jobs that are cancelled at the shutdown do not keep anybody waiting."""
    over = threading.Event()
    busy = [threads.submit(over.wait) for _ in range(2)]
    waiting = threads.submit(len, "")
    threads.shutdown(wait=False, cancel_futures=True)
    assert waiting.cancelled()
    over.set()
    assert all(job.result(30) for job in busy)
    with pytest.raises(RuntimeError):
        threads.submit(len, "")
