"""The janitor: work that comes again and again, until it is closed."""

import logging
import threading

import pytest

from wrapper.services.background.periodic import PeriodicTask

SOON, NEVER = 0.001, 3600.0
PATIENCE = 20.0


class Work:
    """Work that can be waited for; its first *failures* calls fail."""

    def __init__(self, failures=0):
        self._failures = failures
        self._done = threading.Semaphore(0)
        self.threads = set()

    def __call__(self):
        self.threads.add(threading.current_thread())
        self._done.release()
        if self._failures:
            self._failures -= 1
            raise OSError("no disk")

    def wait(self, times):
        """Say whether it was done so many times more."""
        return all(self._done.acquire(timeout=PATIENCE) for _ in range(times))


@pytest.fixture
def hire():
    """Make a janitor; its thread is gone after the test."""
    work, janitors = [], []

    def make(seconds, failures=0):
        work.append(Work(failures))
        janitors.append(PeriodicTask(work[-1], seconds))
        return janitors[-1], work[-1]

    yield make
    for janitor in janitors:
        janitor.close()
    for thread in (thread for one in work for thread in one.threads):
        thread.join(PATIENCE)
        assert not thread.is_alive()


def janitors_at_work():
    return [thread for thread in threading.enumerate() if thread.name == "janitor"]


def test_again_and_again(hire):
    """Once started, the work is done again and again, aside."""
    janitor, work = hire(SOON)
    janitor.start()
    assert work.wait(3)
    assert threading.current_thread() not in work.threads


def test_not_before_it_is_started(hire):
    """Nothing runs before the start."""
    before = len(janitors_at_work())
    hire(SOON)
    assert len(janitors_at_work()) == before


def test_started_twice(hire):
    """However often it is started, there is one thread."""
    janitor, work = hire(SOON)
    before = len(janitors_at_work())
    for _ in range(3):
        janitor.start()
    assert work.wait(2)
    assert len(janitors_at_work()) == before + 1


def test_failures(hire, caplog):
    """Work that fails is told of in the log, and done again."""
    with caplog.at_level(logging.WARNING):
        janitor, work = hire(SOON, failures=2)
        janitor.start()
        assert work.wait(4)
    # The log is everybody's: what other tests have left may be told of just now.
    told = [
        record.getMessage() for record in caplog.records if record.name == PeriodicTask.__module__
    ]
    assert told == ["what is kept could not be tidied: no disk"] * 2


@pytest.mark.parametrize("times", [1, 2])
def test_closing(hire, times):
    """Closing ends the thread at once, however long it was to wait, and may be said twice."""
    before = set(janitors_at_work())
    janitor, _ = hire(NEVER)
    janitor.start()
    (thread,) = set(janitors_at_work()) - before
    for _ in range(times):
        janitor.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_closed_for_good(hire):
    """One that was closed begins no more."""
    before = len(janitors_at_work())
    janitor, _ = hire(SOON)
    janitor.close()
    janitor.start()
    assert len(janitors_at_work()) == before
