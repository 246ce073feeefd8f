"""The worker's signals: no handler takes a lock, and the main loop handles them."""

from __future__ import annotations

import gc
import os
import queue
import selectors
import signal
import threading
import time
from contextlib import suppress

import pytest
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger

from wrapper.server import worker as worker_module
from wrapper.server.config import post_fork
from wrapper.server.worker import DrainingWorker

pytestmark = pytest.mark.packages

DEADLINE = 10.0
LOCKS = (type(threading.Lock()), type(threading.RLock()))


class App:
    def wsgi(self):
        return lambda environ, start_response: []


@pytest.fixture
def timers(monkeypatch):
    """The seconds after which a worker would have ended this process."""
    seconds = []

    class Timer:
        def __init__(self, interval, function, args):
            assert (function, args) == (os._exit, (0,))
            seconds.append(interval)

        def start(self):
            pass

    monkeypatch.setattr(threading, "Timer", Timer)
    return seconds


@pytest.fixture
def make_worker(timers):
    """Return a function that makes a worker. After the test the process has its old handlers."""
    handlers = {number: signal.getsignal(number) for number in DrainingWorker.SIGNALS}
    wakeup = signal.set_wakeup_fd(-1)
    workers = []

    def make(*sent, busy=lambda: False, **settings):
        """Make a worker which gets the signals *sent* as soon as it has started."""
        config = Config()
        for name, value in settings.items():
            config.set(name, value)

        def send(_):
            for number in sent:
                os.kill(os.getpid(), number)

        config.set("post_worker_init", send)
        worker = DrainingWorker(1, os.getppid(), [], App(), 30, config, Logger(config))
        worker.busy = busy
        workers.append(worker)
        return worker

    yield make
    signal.set_wakeup_fd(wakeup)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    for worker in workers:
        worker.tmp.close()
        for pipe in worker.PIPE:
            os.close(pipe)


def locks_of_this_process():
    """Return all locks that any object refers to."""
    gc.unfreeze()  # the objects that are frozen would be missing
    found = (lock for holder in gc.get_objects() for lock in gc.get_referents(holder))
    return list({id(lock): lock for lock in found if isinstance(lock, LOCKS)}.values())


def runs_while_all_locks_are_held(call):
    """Say whether *call* returns in another thread while this one holds every lock there is."""
    go_read, go_write = os.pipe()
    end_read, end_write = os.pipe()

    def run():
        os.read(go_read, 1)
        call()
        os.write(end_write, b"x")

    os.set_blocking(end_read, False)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    locks = locks_of_this_process()
    gc.disable()  # a finalizer may need a lock
    held = [lock for lock in locks if lock.acquire(blocking=False)]
    os.write(go_write, b"x")
    until, done = time.monotonic() + DEADLINE, b""
    while not done and time.monotonic() < until:
        with suppress(BlockingIOError):
            done = os.read(end_read, 1)
    for lock in held:
        lock.release()
    gc.enable()
    thread.join(DEADLINE)
    assert len(held) > 10
    return bool(done)


def test_locks_are_noticed(make_worker):
    """The test of the handlers can fail: it notices any lock that a call takes."""
    worker = make_worker(signal.SIGTERM)
    worker.init_process()
    assert not runs_within(0.2, lambda: worker.tpool.shutdown(wait=False))


def runs_within(seconds, call):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "DEADLINE", seconds)
        return runs_while_all_locks_are_held(call)


@pytest.mark.parametrize("number", DrainingWorker.SIGNALS)
def test_handlers_of_the_worker(make_worker, monkeypatch, number):
    """No handler of the worker takes a lock, whatever the main thread holds."""
    worker = make_worker(signal.SIGTERM, loglevel="debug")
    worker.init_process()
    monkeypatch.setattr(os, "_exit", lambda status: None)
    handler = signal.getsignal(number)
    if callable(handler):  # else the system's, without code of ours
        assert runs_while_all_locks_are_held(lambda: handler(number, None))


@pytest.mark.parametrize("number", [*Arbiter.SIGNALS, signal.SIGCHLD])
def test_handlers_of_the_arbiter(number):
    """No handler of gunicorn's main process takes a lock."""
    arbiter = Arbiter.__new__(Arbiter)
    arbiter.SIG_QUEUE = queue.SimpleQueue()
    handler = arbiter.signal_chld if number == signal.SIGCHLD else arbiter.signal
    assert runs_while_all_locks_are_held(lambda: handler(number, None))
    assert arbiter.SIG_QUEUE.get_nowait() == number


def test_sigterm(make_worker, timers, monkeypatch):
    """On SIGTERM an idle worker ends at once."""
    worker = make_worker(signal.SIGTERM)
    select = selectors.DefaultSelector.select
    # The loop wakes by itself after a second, which may be none on a busy machine.
    later = lambda self, timeout=None: select(self, timeout and 100 * timeout)  # noqa: E731
    monkeypatch.setattr(selectors.DefaultSelector, "select", later)
    began = time.monotonic()
    worker.init_process()
    assert time.monotonic() - began < 50
    assert (worker.draining, timers) == (True, [])


def test_sigterm_while_turns_run(make_worker):
    """On SIGTERM a worker goes on until its turns have ended."""
    running = [True, True, True]
    worker = make_worker(signal.SIGTERM, busy=lambda: bool(running and running.pop()))
    worker.init_process()
    assert not running


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_quit(make_worker, timers, number):
    """On SIGINT or SIGQUIT a worker ends though turns run, and calls the operator's hook."""
    called = []
    worker = make_worker(number, busy=lambda: True, worker_int=lambda worker: called.append(worker))
    with pytest.raises(SystemExit) as exit_:
        worker.init_process()
    assert exit_.value.code == 0
    assert (called, timers) == ([worker], [worker_module.QUIT_SECONDS])


def test_quit_while_draining(make_worker, timers):
    """gunicorn kills a draining worker 2 s after SIGINT, so it ends sooner."""
    worker = make_worker(signal.SIGTERM, signal.SIGINT, busy=lambda: True)
    with pytest.raises(SystemExit):
        worker.init_process()
    assert timers[0] < 2


def test_deadline(make_worker, timers):
    """A draining worker whose turns do not end quits before gunicorn would kill it."""
    worker = make_worker(signal.SIGTERM, busy=lambda: True, graceful_timeout=1)
    began = time.monotonic()
    with pytest.raises(SystemExit) as exit_:
        worker.init_process()
    assert exit_.value.code == 0
    assert time.monotonic() - began >= 0.5


def test_sigusr1(make_worker, monkeypatch):
    """On SIGUSR1 the loop opens the log files again."""
    worker = make_worker(signal.SIGUSR1, signal.SIGTERM)
    threads = []
    monkeypatch.setattr(worker.log, "reopen_files", lambda: threads.append(worker._signals))
    worker.init_process()
    assert len(threads) == 1


def test_sigabrt(make_worker, monkeypatch):
    """On SIGABRT, which means that the loop hangs, a worker ends without the loop."""
    statuses: list[int] = []
    monkeypatch.setattr(os, "_exit", statuses.append)
    worker = make_worker(signal.SIGABRT, signal.SIGTERM)
    worker.init_process()
    assert statuses == [1]


def test_early_signals(make_worker):
    """A signal that comes before the worker has handlers is not lost."""
    arbiter = Arbiter.__new__(Arbiter)
    arbiter.SIG_QUEUE, arbiter.cfg = queue.SimpleQueue(), Config()
    worker = make_worker()
    post_fork(arbiter, worker)
    arbiter.signal(signal.SIGTERM, None)
    worker.init_process()
    assert worker.draining
