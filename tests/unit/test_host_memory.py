"""What processes use, and the memory that is left."""

import math
import os
import subprocess
from types import SimpleNamespace

import psutil
import pytest

from wrapper import host
from wrapper.host import SPARE_BYTES, cpu_seconds, descriptors, resident, scarce

pytestmark = pytest.mark.packages

ENOUGH = SPARE_BYTES
TOO_LITTLE = SPARE_BYTES - 1024


@pytest.fixture(autouse=True)
def cgroup(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "CGROUP", tmp_path)
    return tmp_path


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Return a function that leaves a machine *available* bytes, and puts this process *into*."""

    def leave(available, into="0::/\n"):
        left = SimpleNamespace(available=available)
        monkeypatch.setattr(psutil, "virtual_memory", lambda: left)
        (tmp_path / "proc" / "self").mkdir(parents=True)
        (tmp_path / "proc" / "self" / "cgroup").write_text(into)
        monkeypatch.setattr(host, "PROC", tmp_path / "proc")

    return leave


def container(cgroup, left, cached=0, names=("max", "current", "inactive_file")):
    """Write a limit of which *left* bytes are free, and *cached* bytes hold cached files."""
    cgroup.mkdir(parents=True, exist_ok=True)
    limit, used, inactive_file = names
    (cgroup / f"memory.{limit}").write_text(f"{2 * 1024**3}\n")
    (cgroup / f"memory.{used}").write_text(f"{2 * 1024**3 - left + cached}\n")
    stat = f"anon 1\ninactive_file 0\n{inactive_file} {cached}\nslab 1\n"
    (cgroup / "memory.stat").write_text(stat)


def test_resident():
    """The number of a real process is plausible, and grows with it."""
    before = resident(os.getpid())
    assert 1024**2 < before < 100 * 1024**3
    block = b"x" * 64 * 1024**2
    assert resident(os.getpid()) - before > len(block) // 2


def test_resident_of_none():
    """A process that has ended counts as 0, also if it was read before."""
    with subprocess.Popen(["sleep", "100"]) as process:
        assert resident(process.pid) > 0
        process.kill()
        process.wait()
        assert resident(process.pid) == 0


def test_cpu_seconds():
    """A process's CPU time counts, and that of one that has ended is infinite."""
    before = cpu_seconds(os.getpid())
    while cpu_seconds(os.getpid()) < before + 0.05:
        pass
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert cpu_seconds(process.pid) == math.inf


def test_descriptors():
    """Each descriptor counts."""
    before = descriptors()
    opened = [os.dup(0) for _ in range(32)]
    assert 24 < descriptors() - before < 40  # other threads open and close some
    for descriptor in opened:
        os.close(descriptor)


@pytest.mark.parametrize(("left", "is_scarce"), [(ENOUGH, False), (TOO_LITTLE, True), (0, True)])
def test_machine(machine, left, is_scarce):
    """Memory is scarce if the machine has too little left."""
    machine(left)
    assert scarce() is is_scarce


@pytest.mark.parametrize(("left", "is_scarce"), [(ENOUGH, False), (TOO_LITTLE, True), (0, True)])
@pytest.mark.parametrize("cached", [0, 10**9])
def test_container(machine, cgroup, left, is_scarce, cached):
    """Memory is scarce near a container's limit, not counting cached files."""
    machine(64 * 1024**3)
    container(cgroup, left, cached)
    assert scarce() is is_scarce


@pytest.mark.parametrize(("left", "is_scarce"), [(ENOUGH, False), (TOO_LITTLE, True)])
@pytest.mark.parametrize("folder", ["system.slice", "system.slice/x.service"])
def test_service(machine, cgroup, left, is_scarce, folder):
    """Memory is scarce near the limit of a systemd unit or of a slice above it."""
    machine(64 * 1024**3, into="0::/system.slice/x.service\n")
    container(cgroup / folder, left, 10**9)
    assert scarce() is is_scarce


@pytest.mark.parametrize(("left", "is_scarce"), [(ENOUGH, False), (TOO_LITTLE, True)])
def test_first_version(machine, cgroup, left, is_scarce):
    """Memory is scarce near a limit of the first version of cgroups, too."""
    machine(64 * 1024**3, into="5:cpu,memory:/a\n")
    names = ("limit_in_bytes", "usage_in_bytes", "total_inactive_file")
    container(cgroup / "memory" / "a", left, 10**9, names)
    assert scarce() is is_scarce


def test_machine_of_a_container(machine, cgroup):
    """If memory is scarce on the machine, it is scarce in its containers."""
    machine(TOO_LITTLE)
    container(cgroup, ENOUGH)
    assert scarce()


def test_without_a_limit(machine, cgroup):
    """A container without a limit has the machine's memory."""
    machine(ENOUGH)
    container(cgroup, 0)
    (cgroup / "memory.max").write_text("max\n")
    assert not scarce()


@pytest.mark.parametrize("missing", ["memory.current", "memory.stat"])
def test_incomplete_container(machine, cgroup, missing):
    """A limit without the other files counts as unknown."""
    machine(ENOUGH)
    container(cgroup, 0)
    (cgroup / missing).unlink()
    assert not scarce()
