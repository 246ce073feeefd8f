"""The offload ends jobs at their limits, and they delay no other."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from tests.support.offload_jobs import endless_job
from tests.support.server import alive, children, eventually
from wrapper import host
from wrapper.errors import ClientGone, Unavailable
from wrapper.services.background.offload import process, runner
from wrapper.services.background.offload.runner import Exceeded, Job, Offload

SCHEMA = b'{"type": "object"}'
QUICK = Job("compile", SCHEMA, 1.0)


@pytest.fixture
def offload():
    offload = Offload()
    yield offload
    offload.close()


def test_result(offload):
    """A quick job returns its result, and its process runs the next job."""
    assert offload.run(QUICK) is None
    first = [child.pid for child in offload._idle]
    assert "not JSON" in offload.run(Job("check", SCHEMA + b"x", 1.0, {"size": 18}))
    assert [child.pid for child in offload._idle] == first


@pytest.mark.parametrize("heavy", [False, True])
def test_cpu_limit(offload, heavy):
    """A job ends at its limit of CPU time, and the next job runs."""
    with pytest.raises(Exceeded):
        offload.run(endless_job(heavy=heavy))
    assert offload.run(QUICK) is None


def test_time_limit(offload, monkeypatch):
    """A job that gets no CPU ends at its limit of elapsed time."""
    monkeypatch.setattr(process, "TIMES_LONGER", 0.01)
    with pytest.raises(Exceeded):
        offload.run(endless_job(20.0))


def test_a_process_that_does_not_take_its_job(offload, monkeypatch):
    """A job that its process has not taken in time ends at its limit of elapsed time."""
    offload.run(QUICK)
    os.kill(offload._idle[0].pid, signal.SIGSTOP)
    monkeypatch.setattr(process, "START_SECONDS", 0.01)
    monkeypatch.setattr(process, "TIMES_LONGER", 0.1)
    with pytest.raises(Exceeded):
        offload.run(Job("check", SCHEMA + b" " * 16 * 1024**2, 1.0, {"size": len(SCHEMA)}))


@pytest.mark.parametrize("enforced", [True, False])
def test_memory_limit(offload, monkeypatch, enforced):
    """A job ends at its limit of memory, also where only the gateway watches it."""
    if not enforced:
        monkeypatch.setattr(host, "LINUX", False)
    body = SCHEMA + b"[" + b"[],[]," * 2_000_000 + b"0]"
    with pytest.raises(Exceeded):
        offload.run(Job("check", body, 20.0, {"size": len(SCHEMA)}, memory=100 * 1024**2))
    assert offload.run(QUICK) is None


def test_memory_within_the_limit(offload, monkeypatch):
    """A long job within its limits has its result, also where the gateway watches it."""
    monkeypatch.setattr(host, "LINUX", False)
    monkeypatch.setattr(process, "QUICK_SECONDS", 0.0)
    body = SCHEMA + b"[" + b"[],[]," * 200_000 + b"0]"
    job = Job("check", body, 20.0, {"size": len(SCHEMA)}, memory=200 * 1024**2)
    assert offload.run(job) is not None


@pytest.mark.parametrize("heavy", [False, True])
def test_client_leaves(offload, heavy):
    """A long job ends when its client leaves."""
    with pytest.raises(ClientGone):
        offload.run(endless_job(60.0, heavy=heavy), lambda: True)


def test_quick_jobs_pass_long_ones(offload):
    """Quick jobs run while long jobs hold all slots and others wait."""
    ended = []
    stop = threading.Event()

    def run_long(caller):
        runner.caller_name.set(caller)
        with pytest.raises(ClientGone):
            offload.run(endless_job(60.0), stop.is_set)
        ended.append(True)

    callers = [f"caller {number}" for number in range(runner.LONG_AT_ONCE + 3)]
    threads = [threading.Thread(target=run_long, args=(caller,)) for caller in callers]
    for thread in threads:
        thread.start()
    try:
        assert eventually(lambda: len(offload._long._waiting) == 3)
        assert offload.run(QUICK) is None
        assert not ended
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_other_threads_run(offload):
    """A long job does not block other threads."""

    def run_long():
        with pytest.raises(Exceeded):
            offload.run(endless_job(0.5))

    turns, thread = 0, threading.Thread(target=run_long)
    thread.start()
    while thread.is_alive():
        thread.join(0.001)
        turns += 1
    assert turns > 50


def test_dead_processes_are_replaced(offload):
    """A killed child or fork server is replaced."""
    offload.run(QUICK)
    os.kill(offload._idle[0].pid, signal.SIGKILL)
    assert eventually(lambda: not offload._idle[0].idle())
    assert offload.run(QUICK) is None
    os.kill(offload._server._popen.pid, signal.SIGKILL)
    assert eventually(lambda: not offload._server.alive())
    offload._idle.pop().close()
    assert offload.run(QUICK) is None


def test_a_server_that_hangs_is_replaced(offload, monkeypatch):
    """A fork server that does not answer in time fails a job, and the next one gets another."""
    offload.start()
    os.kill(offload._server._popen.pid, signal.SIGSTOP)
    with monkeypatch.context() as patch:
        patch.setattr(process, "START_SECONDS", 0.01)
        with pytest.raises(Unavailable):
            offload.run(QUICK)
    assert eventually(lambda: not offload._server.alive())
    assert offload.run(QUICK) is None


def test_close(offload):
    """Closing ends every process, even a paused one."""
    offload.run(QUICK)
    child = offload._child()
    child.begin(endless_job(60.0))
    child.pause()
    offload.close()
    assert eventually(lambda: not alive(child.pid))
    child.close()


def test_no_secrets(offload):
    """The processes have none of the gateway's environment, files and sockets."""
    offload.run(QUICK)
    for pid in (offload._server._popen.pid, offload._idle[0].pid):
        with open(f"/proc/{pid}/environ", "rb") as file:
            assert b"PATH" not in file.read()
        opened = [os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")]
        assert sum(name.startswith("socket:") for name in opened) == 1
        assert {name for name in opened if not name.startswith("socket:")} == {"/dev/null"}


def test_no_process(offload, monkeypatch):
    """If no process can be started the error asks callers to retry."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(Unavailable):
        offload.run(QUICK)
    offload.start()


def test_forks(offload):
    """A forked process starts its own fork server, and leaves the parent's alone."""
    offload.run(QUICK)
    if (pid := os.fork()) == 0:
        offload.reset_after_fork()
        empty = not offload._idle and offload._server is None
        os._exit(0 if empty and offload.run(QUICK) is None else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert offload._idle[0].idle()
    assert offload.run(QUICK) is None


PROGRAM = """
import sys
from tests.support.offload_jobs import endless_job
from wrapper.services.background.offload.runner import offload
offload.start()
print(offload._server._popen.pid, flush=True)
offload.run(endless_job(60.0))
"""


def test_killed_gateway():
    """A killed gateway leaves no process behind, even in the middle of a job."""
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE) as program:
        assert program.stdout
        server = int(program.stdout.readline())
        assert eventually(lambda: children(server))
        (child,) = children(server)
        program.kill()
    assert eventually(lambda: not alive(server) and not alive(child))
