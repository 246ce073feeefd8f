"""The worker's threads, if the system allows no more of them."""

import threading
from threading import Thread

import pytest

from tests.support.threads import no_thread
from wrapper.server.worker import ThreadPool

pytestmark = pytest.mark.packages


@pytest.fixture
def exhaust_threads(monkeypatch):
    """Return a function after whose call no thread can be started."""
    return lambda: monkeypatch.setattr(Thread, "start", no_thread)


def test_no_more_threads(exhaust_threads):
    """If no further thread can start, work waits for one that exists."""
    go_on = threading.Event()
    with ThreadPool(4) as threads:
        first = threads.submit(go_on.wait)
        exhaust_threads()
        second = threads.submit(lambda: "done")
        assert not second.done()
        go_on.set()
        assert first.result(10)
        assert second.result(10) == "done"


def test_no_thread_at_all(exhaust_threads):
    """If there is no thread at all, submitting work raises an error."""
    exhaust_threads()
    with ThreadPool(4) as threads, pytest.raises(RuntimeError, match="new thread"):
        threads.submit(lambda: None)
