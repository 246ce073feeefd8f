"""The machine's memory and cores, as the kernel's files report them."""

import os

import pytest

from wrapper.host import cores, memory

GIB = 1024**3
CORES = len(os.sched_getaffinity(0))


@pytest.fixture
def machine(tmp_path):
    """Return a function that writes the kernel's files: 8 GiB, cgroups and their limits."""

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
    assert memory(*machine(cgroups, limits)) == expected


def test_unknown_memory(tmp_path):
    """Without the kernel's files the memory is unknown."""
    assert memory(tmp_path, tmp_path) is None


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("max 100000", CORES), ("50000 100000", 1), ("100000 100000", 1), ("99900000 100000", CORES)],
)
def test_cores(machine, quota, expected):
    """A container's CPU quota limits the cores, and a part of one counts as one."""
    assert cores(*machine("0::/a\n", {"a/cpu.max": quota})) == expected


def test_this_machine():
    """The numbers of this machine are plausible."""
    assert cores() <= CORES
    assert (memory() or GIB) >= GIB // 4
