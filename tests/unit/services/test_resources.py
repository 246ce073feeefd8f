"""Resources: which errors come from a shortage, and what clients get for them."""

import errno
import itertools
import os
import resource
import subprocess
import sys

import pytest

from wrapper import host
from wrapper.errors import Unavailable
from wrapper.routes.headers import error_headers
from wrapper.services import resources


@pytest.fixture
def limit():
    """Set this process's limit of descriptors, and restore it afterwards."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda soft: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "file descriptors"),
        (OSError(errno.ENFILE, "Too many open files in system"), "whole machine"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory"),
        (MemoryError(), "memory"),
        (RuntimeError("can't start new thread"), "threads"),
    ],
)
def test_lacks(error, what):
    """What the machine has too little of is told, and when to come again."""
    told = resources.lack(error)
    assert told is not None
    assert (told.status, told.code) == (503, "unavailable")
    assert f"short of {what}" in told.message or what in told.message
    assert int(error_headers(told)["Retry-After"]) > 0


@pytest.mark.parametrize("error", [OSError(errno.EPIPE, "x"), RuntimeError("x"), ValueError()])
def test_no_lacks(error):
    """Other errors are no shortage."""
    assert resources.lack(error) is None


# How many descriptors other threads of the test process may open or close during a test.
SLACK = 16


def test_descriptors(limit):
    """No turn begins with the descriptors that are kept for refusals."""
    moments = itertools.count()
    resources.check(lambda: next(moments))
    used = len(os.listdir("/dev/fd")) - 1  # without the folder itself
    limit(used + resources.SPARE_DESCRIPTORS - SLACK)
    with pytest.raises(Unavailable, match="ulimit"):
        resources.check(lambda: next(moments))
    assert resources.health()["status"] == "failing"
    resources.make_room(used + resources.SPARE_DESCRIPTORS + SLACK)
    resources.check(lambda: next(moments))
    assert resources.health() == {"status": "ok"}


def test_descriptors_are_counted_now_and_then(limit):
    """Requests of the same instant share one count of the descriptors."""
    resources.check(lambda: 1000.0)
    limit(len(os.listdir("/dev/fd")) + SLACK)
    resources.check(lambda: 1000.0)
    with pytest.raises(Unavailable):
        resources.check(lambda: 1000.0 + resources.COUNT_SECONDS)


def test_room_that_is_not_to_be_had(limit):
    """The limit is raised as far as allowed, and never lowered."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = hard if host.LINUX else min(hard, resources.MOST_ON_MACOS)
    resources.make_room(hard + 1)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == most
    resources.make_room(1)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == most


@pytest.mark.parametrize(("soft", "set_limits"), [(256, [7000]), (8000, [])])
def test_room_within_macos_limit(monkeypatch, soft, set_limits):
    """macOS says that any limit is allowed, and refuses more than OPEN_MAX."""
    infinite = 2**63 - 1
    limits = []

    def setrlimit(_, wanted):
        if wanted[0] > resources.MOST_ON_MACOS:
            raise ValueError("current limit exceeds maximum limit")
        limits.append(wanted)

    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, infinite))
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    resources.make_room(7000)
    assert limits == [(number, infinite) for number in set_limits]
    resources.make_room(20_000)
    assert limits[-1] == (resources.MOST_ON_MACOS, infinite)


FREED_BLOCKS = """
import os
from wrapper.services import resources
from wrapper.host import resident
resources.return_large_blocks()
before = resident(os.getpid())
first = bytearray(20 << 20)
del first  # from now on glibc would take blocks of this size from its heap
blocks = [bytearray(8 << 20) for _ in range(8)]
kept = bytes(100_000)  # and could not return them below this one
del blocks
print(resident(os.getpid()) - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc keeps what is freed so")
def test_large_blocks_are_returned():
    """A process does not keep the memory of large bodies that it has freed."""
    program = [sys.executable, "-c", FREED_BLOCKS]
    grown = subprocess.run(program, capture_output=True, text=True, check=True, timeout=30).stdout
    assert int(grown) < 8 << 20


COLLECTED = """
import gc
from wrapper import create_app  # which holds far more objects than a turn makes
from wrapper.services import resources
resources.keep_loaded_objects()
left = len(gc.get_objects())
assert gc.get_freeze_count() > 100 * left, (gc.get_freeze_count(), left)
"""


def test_loaded_objects_are_kept():
    """A full garbage collection does not go through what was loaded at the start."""
    subprocess.run([sys.executable, "-c", COLLECTED], check=True, timeout=50)
