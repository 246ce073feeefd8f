"""The worker: what it does where the machine lacks something."""

import threading
from threading import Thread

import pytest

from wrapper.server.worker import Threads

pytestmark = pytest.mark.packages


@pytest.fixture
def no_more(monkeypatch):
    """A call after which no thread can be had."""

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    return lambda: monkeypatch.setattr(Thread, "start", refuse)


def test_no_more_threads(no_more):
    """Where no further thread can be had, what is asked waits for one that there is."""
    go_on = threading.Event()
    with Threads(4) as threads:
        first = threads.submit(go_on.wait)
        no_more()
        second = threads.submit(lambda: "done")
        assert not second.done()
        go_on.set()
        assert first.result(10)
        assert second.result(10) == "done"


def test_no_thread_at_all(no_more):
    """Where there is none that could do it, it is told."""
    no_more()
    with Threads(4) as threads, pytest.raises(RuntimeError, match="new thread"):
        threads.submit(lambda: None)
