"""What all unit tests share."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from wrapper.gateway import Gateway

# How long a thread may take to end. Only a module that fails waits so long.
ENDS_WITHIN = 20

# On a busy machine any example may take long.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

_built: list[Gateway] = []
_init = Gateway.__init__
# The test that was the last to run before a thread was first seen.
_first_seen: dict[threading.Thread, str] = {}


@functools.wraps(_init)
def _init_and_note(self: Gateway, *arguments: Any, **options: Any) -> None:
    _init(self, *arguments, **options)
    _built.append(self)


Gateway.__init__ = _init_and_note  # type: ignore[method-assign]


def _close_gateways(before: int) -> None:
    for gateway in _built[before:]:
        gateway.close()
    del _built[before:]


@pytest.fixture(scope="module", autouse=True)
def _threads_end() -> Iterator[None]:
    """Fail the module that leaves threads running, as they log and work during others' tests.

    It closes the gateways of the module's fixtures. Its tests have to close what else they build.
    """
    before = set(threading.enumerate())
    gateways = len(_built)
    yield
    _close_gateways(gateways)
    began = [thread for thread in threading.enumerate() if thread not in before]
    end = time.monotonic() + ENDS_WITHIN
    for thread in began:
        thread.join(max(0, end - time.monotonic()))
    running = [thread for thread in began if thread.is_alive()]
    left = [f"{thread.name} of {_first_seen.get(thread, 'a fixture')}" for thread in running]
    _first_seen.clear()
    assert not left, f"these threads still run after the module: {left}"


@pytest.fixture(autouse=True)
def _gateways_end(request: pytest.FixtureRequest) -> Iterator[None]:
    """Close the gateways that a test builds, as the threads of thousands slow a machine down.

    Those of fixtures that several tests share are built before, and stay until the module ends.
    """
    before = len(_built)
    yield
    _close_gateways(before)
    for thread in threading.enumerate():
        _first_seen.setdefault(thread, request.node.nodeid)
