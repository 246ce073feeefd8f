"""The machine's memory and cores, within the limits of a container."""

import errno
import math
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from wrapper import host
from wrapper.host import cores, memory

pytestmark = pytest.mark.packages

GIB = 1024**3
CORES = cores()


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return a function that makes a machine of 8 GiB, and writes its cgroups and their limits."""

    def write(cgroups, limits):
        monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=8 * GIB))
        proc, cgroup = tmp_path / "proc", tmp_path / "cgroup"
        monkeypatch.setattr(host, "PROC", proc)
        monkeypatch.setattr(host, "CGROUP", cgroup)
        (proc / "self").mkdir(parents=True)
        (proc / "self" / "cgroup").write_text(cgroups)
        for path, text in limits.items():
            file = cgroup / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{text}\n")

    return write


@pytest.mark.parametrize(
    ("cgroups", "limits", "expected"),
    [
        ("", {}, 8 * GIB),
        ("0::/\n", {"memory.max": 2 * GIB}, 2 * GIB),
        ("0::/\n", {"memory.max": "max"}, 8 * GIB),
        ("0::/\n", {"memory.max": 20 * GIB}, 8 * GIB),
        ("0::/a/b\n", {"a/memory.max": GIB, "a/b/memory.max": "max"}, GIB),
        ("0::/a\n", {"b/memory.max": GIB}, 8 * GIB),
        ("0::/of/the/host\n", {"memory.max": GIB}, GIB),
        ("5:cpu,memory:/a\n0::/\n", {"memory/a/memory.limit_in_bytes": GIB}, GIB),
        ("5:memory:/docker/1\n", {"memory/memory.limit_in_bytes": GIB}, GIB),
        ("5:cpu:/\n", {"memory/memory.limit_in_bytes": GIB}, 8 * GIB),
    ],
)
def test_memory(machine, cgroups, limits, expected):
    """The lowest limit counts: the cgroup's, one of its parents', or the machine's."""
    machine(cgroups, limits)
    assert memory() == expected


def test_without_cgroups(monkeypatch, tmp_path):
    """Where there are no cgroups, as on macOS, the machine's memory and cores count."""
    monkeypatch.setattr(host, "PROC", tmp_path)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=8 * GIB))
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert memory() == 8 * GIB
    assert cores() == os.cpu_count()


def test_unknown_memory(monkeypatch, tmp_path):
    """A kernel that hides its memory (ProcSubset=pid in systemd) leaves it unknown."""
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path), raising=False)
    monkeypatch.setattr(host, "PROC", tmp_path)
    assert memory() is None
    assert not host.scarce()


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("max 100000", CORES), ("50000 100000", 1), ("100000 100000", 1), ("99900000 100000", CORES)],
)
def test_cores(machine, quota, expected):
    """A container's CPU quota limits the cores, and a part of one counts as one."""
    machine("0::/a\n", {"a/cpu.max": quota})
    assert cores() == expected


def test_lower_priority():
    """All of a process group gets CPU time later from then on, and so does its session."""
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, start_new_session=True) as process:
        host.lower_priority(process.pid)
        host.lower_priority(process.pid)
        ours = os.getpriority(os.PRIO_PROCESS, 0)
        niceness = os.getpriority(os.PRIO_PROCESS, process.pid)
        session = Path(f"/proc/{process.pid}/autogroup")
        compared = session.read_text() if host.LINUX and session.exists() else ""
        process.communicate()
    assert niceness == min(host.NICEST, ours + host.NICENESS)
    assert not compared or compared.endswith(f"nice {host.NICENESS}\n")


def test_lower_priority_of_a_process_that_has_ended():
    """A process that has ended since then is no error."""
    with subprocess.Popen(["/bin/true"]) as process:
        process.communicate()
        host.lower_priority(process.pid)


def test_this_machine():
    """The numbers of this machine are plausible."""
    assert cores() <= CORES
    assert (memory() or GIB) >= GIB // 4


def test_no_descriptor_left(monkeypatch):
    """What cannot be read of a process, as no descriptor is left, is unknown and no error."""

    def fail(pid):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(psutil, "Process", fail)
    host._process.cache_clear()
    assert (host.age(os.getpid()), host.resident(os.getpid())) == (math.inf, 0)
