"""The memory: what a process has, and what is left, as the kernel's files tell."""

import os

import pytest

from wrapper.host import SPARE_BYTES, resident, scarce

PAGE = os.sysconf("SC_PAGE_SIZE")
ENOUGH = SPARE_BYTES
TOO_LITTLE = SPARE_BYTES - 1024


@pytest.fixture
def proc(tmp_path):
    folder = tmp_path / "proc"
    folder.mkdir()
    return folder


@pytest.fixture
def cgroup(tmp_path):
    folder = tmp_path / "cgroup"
    folder.mkdir()
    return folder


def machine(proc, available):
    lines = (
        "MemTotal:  64000000 kB",
        f"MemAvailable: {available // 1024} kB",
        "HugePages_Total: 0",
    )
    (proc / "meminfo").write_text("\n".join(lines))


def container(cgroup, left, cached=0, most=2 * 1024**3):
    """Write a limit of which so much is *left*, beside what only caches files."""
    used = most - left + cached
    (cgroup / "memory.max").write_text(f"{most}\n")
    (cgroup / "memory.current").write_text(f"{used}\n")
    (cgroup / "memory.stat").write_text(f"anon {used - cached}\ninactive_file {cached}\nslab 1\n")


def test_resident(proc):
    """A process has as many bytes as it has pages."""
    (proc / "42").mkdir()
    (proc / "42" / "statm").write_text("5000 300 20 1 0 100 0\n")
    assert resident(42, proc) == 300 * PAGE


@pytest.mark.parametrize("told", [None, "", "5000", "5000 x"])
def test_resident_cannot_be_told(proc, told):
    """A process that is gone, or of which nothing can be read, counts as small."""
    if told is not None:
        (proc / "42").mkdir()
        (proc / "42" / "statm").write_text(told)
    assert resident(42, proc) == 0


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="no Linux")
def test_resident_here():
    """The numbers of a real process are of a likely size."""
    assert 1024**2 < resident(os.getpid()) < 100 * 1024**3


@pytest.mark.parametrize(("left", "short"), [(ENOUGH, False), (TOO_LITTLE, True), (0, True)])
def test_of_the_machine(proc, cgroup, left, short):
    """Memory is scarce where the machine has too little left."""
    machine(proc, left)
    assert scarce(proc, cgroup) is short


@pytest.mark.parametrize(("left", "short"), [(ENOUGH, False), (TOO_LITTLE, True), (0, True)])
@pytest.mark.parametrize("cached", [0, 10**9])
def test_of_the_container(proc, cgroup, left, short, cached):
    """Memory is scarce where a container's limit is near, not counting what only caches files."""
    machine(proc, 64 * 1024**3)
    container(cgroup, left, cached)
    assert scarce(proc, cgroup) is short


def test_the_machine_of_a_container(proc, cgroup):
    """A machine that runs short does so for its containers too."""
    machine(proc, TOO_LITTLE)
    container(cgroup, ENOUGH)
    assert scarce(proc, cgroup)


def test_without_a_limit(proc, cgroup):
    """A container without a limit has what the machine has."""
    machine(proc, ENOUGH)
    container(cgroup, 0)
    (cgroup / "memory.max").write_text("max\n")
    assert not scarce(proc, cgroup)


@pytest.mark.parametrize("missing", ["memory.current", "memory.stat"])
def test_half_a_container(proc, cgroup, missing):
    """A limit beside which a file is missing tells nothing."""
    machine(proc, ENOUGH)
    container(cgroup, 0)
    (cgroup / missing).unlink()
    assert not scarce(proc, cgroup)


@pytest.mark.parametrize("told", [None, "", "\n", "MemFree: 1 kB", "MemAvailable: much"])
def test_nothing_can_be_told(proc, cgroup, told):
    """Where nothing can be told, nothing is scarce."""
    if told is not None:
        (proc / "meminfo").write_text(told)
    assert not scarce(proc, cgroup)
