"""A periodic task calls its function again and again until it is closed."""

import logging
import threading

import pytest

from wrapper.services.background.periodic import PeriodicTask

SOON, NEVER = 0.001, 3600.0
WAIT_SECONDS = 20.0


class Work:
    """A function whose calls can be waited for. The first *failures* calls fail."""

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
        """Say whether it was called so many times more."""
        return all(self._done.acquire(timeout=WAIT_SECONDS) for _ in range(times))


@pytest.fixture
def make_task():
    """Make periodic tasks whose threads end with the test."""
    work, tasks = [], []

    def make(seconds, failures=0):
        work.append(Work(failures))
        tasks.append(PeriodicTask(work[-1], seconds))
        return tasks[-1], work[-1]

    yield make
    for task in tasks:
        task.close()
    for thread in (thread for function in work for thread in function.threads):
        thread.join(WAIT_SECONDS)
        assert not thread.is_alive()


def task_threads():
    return [thread for thread in threading.enumerate() if thread.name == "periodic-task"]


def test_again_and_again(make_task):
    """Once started, the task calls its function again and again in another thread."""
    task, work = make_task(SOON)
    task.start()
    assert work.wait(3)
    assert threading.current_thread() not in work.threads


def test_not_before_it_is_started(make_task):
    """No thread runs before the start."""
    before = len(task_threads())
    make_task(SOON)
    assert len(task_threads()) == before


def test_started_twice(make_task):
    """There is one thread, however often the task is started."""
    task, work = make_task(SOON)
    before = len(task_threads())
    for _ in range(3):
        task.start()
    assert work.wait(2)
    assert len(task_threads()) == before + 1


def test_no_thread_left(make_task, monkeypatch):
    """A task for which no thread could start can be started later."""

    def fail(thread):
        raise RuntimeError("can't start new thread")

    task, work = make_task(SOON)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError):
            task.start()
    task.start()
    assert work.wait(1)


def test_failures(make_task, caplog):
    """A failed call is logged, and the function is called again."""
    with caplog.at_level(logging.WARNING):
        task, work = make_task(SOON, failures=2)
        task.start()
        assert work.wait(4)
    # Tasks of other tests may write to the log as well.
    messages = [
        record.getMessage() for record in caplog.records if record.name == PeriodicTask.__module__
    ]
    assert messages == ["a periodic task failed and will run again: no disk"] * 2


@pytest.mark.parametrize("times", [1, 2])
def test_closing(make_task, times):
    """Closing ends the thread at once, whatever the interval, and may be repeated."""
    before = set(task_threads())
    task, _ = make_task(NEVER)
    task.start()
    (thread,) = set(task_threads()) - before
    for _ in range(times):
        task.close()
    thread.join(WAIT_SECONDS)
    assert not thread.is_alive()


def test_closed_for_good(make_task):
    """A closed task does not start again."""
    before = len(task_threads())
    task, _ = make_task(SOON)
    task.close()
    task.start()
    assert len(task_threads()) == before
