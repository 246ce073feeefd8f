"""The memory of a process, and what is left, as the kernel's files report it."""

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


def container(cgroup, left, cached=0, limit=2 * 1024**3):
    """Write a limit of which *left* bytes are free, and *cached* bytes hold cached files."""
    used = limit - left + cached
    (cgroup / "memory.max").write_text(f"{limit}\n")
    (cgroup / "memory.current").write_text(f"{used}\n")
    (cgroup / "memory.stat").write_text(f"anon {used - cached}\ninactive_file {cached}\nslab 1\n")


def test_resident(proc):
    """A process has the bytes of its pages."""
    (proc / "42").mkdir()
    (proc / "42" / "statm").write_text("5000 300 20 1 0 100 0\n")
    assert resident(42, proc) == 300 * PAGE


@pytest.mark.parametrize("text", [None, "", "5000", "5000 x"])
def test_resident_unknown(proc, text):
    """A process that is gone, or whose file cannot be parsed, counts as 0."""
    if text is not None:
        (proc / "42").mkdir()
        (proc / "42" / "statm").write_text(text)
    assert resident(42, proc) == 0


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="not Linux")
def test_resident_of_this_process():
    """The number of a real process is plausible."""
    assert 1024**2 < resident(os.getpid()) < 100 * 1024**3


@pytest.mark.parametrize(("left", "is_scarce"), [(ENOUGH, False), (TOO_LITTLE, True), (0, True)])
def test_machine(proc, cgroup, left, is_scarce):
    """Memory is scarce if the machine has too little left."""
    machine(proc, left)
    assert scarce(proc, cgroup) is is_scarce


@pytest.mark.parametrize(("left", "is_scarce"), [(ENOUGH, False), (TOO_LITTLE, True), (0, True)])
@pytest.mark.parametrize("cached", [0, 10**9])
def test_container(proc, cgroup, left, is_scarce, cached):
    """Memory is scarce near a container's limit, not counting cached files."""
    machine(proc, 64 * 1024**3)
    container(cgroup, left, cached)
    assert scarce(proc, cgroup) is is_scarce


def test_machine_of_a_container(proc, cgroup):
    """If memory is scarce on the machine, it is scarce in its containers."""
    machine(proc, TOO_LITTLE)
    container(cgroup, ENOUGH)
    assert scarce(proc, cgroup)


def test_without_a_limit(proc, cgroup):
    """A container without a limit has the machine's memory."""
    machine(proc, ENOUGH)
    container(cgroup, 0)
    (cgroup / "memory.max").write_text("max\n")
    assert not scarce(proc, cgroup)


@pytest.mark.parametrize("missing", ["memory.current", "memory.stat"])
def test_incomplete_container(proc, cgroup, missing):
    """A limit without the other files counts as unknown."""
    machine(proc, ENOUGH)
    container(cgroup, 0)
    (cgroup / missing).unlink()
    assert not scarce(proc, cgroup)


@pytest.mark.parametrize("text", [None, "", "\n", "MemFree: 1 kB", "MemAvailable: much"])
def test_unknown(proc, cgroup, text):
    """If nothing is known, memory is not scarce."""
    if text is not None:
        (proc / "meminfo").write_text(text)
    assert not scarce(proc, cgroup)
