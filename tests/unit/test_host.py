"""The capacity: memory and cores, as the kernel's files tell of it and of a container."""

import os

import pytest

from wrapper.host import cores, memory

GIB = 1024**3
HERE = len(os.sched_getaffinity(0))


@pytest.fixture
def machine(tmp_path):
    """Write what the kernel tells: 8 GiB, the process's cgroups, and files with limits."""

    def write(cgroups, limits):
        proc, cgroup = tmp_path / "proc", tmp_path / "cgroup"
        (proc / "self").mkdir(parents=True)
        (proc / "meminfo").write_text(f"MemTotal: {8 * 1024**2} kB\nMemFree: 1 kB\n")
        (proc / "self" / "cgroup").write_text(cgroups)
        for path, text in limits.items():
            file = cgroup / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{text}\n")
        return proc, cgroup

    return write


@pytest.mark.parametrize(
    ("cgroups", "limits", "wanted"),
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
def test_memory(machine, cgroups, limits, wanted):
    """The least limit holds: of the process's cgroup, of any above it, or the machine itself."""
    assert memory(*machine(cgroups, limits)) == wanted


def test_memory_that_is_not_told(tmp_path):
    """Where the kernel tells nothing, neither is anything made up."""
    assert memory(tmp_path, tmp_path) is None


@pytest.mark.parametrize(
    ("quota", "wanted"),
    [("max 100000", HERE), ("50000 100000", 1), ("100000 100000", 1), ("99900000 100000", HERE)],
)
def test_cores(machine, quota, wanted):
    """A container's share of time bounds the cores, and part of one counts as one."""
    assert cores(*machine("0::/a\n", {"a/cpu.max": quota})) == wanted


def test_here():
    """This machine's own numbers are of a likely size."""
    assert cores() <= HERE
    assert (memory() or GIB) >= GIB // 4
