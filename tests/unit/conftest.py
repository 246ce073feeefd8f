"""What all unit tests share."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support import compiled_once
from tests.support.clock import Clock
from wrapper.gateway import Gateway
from wrapper.services.background.periodic import PeriodicTask

# On a busy machine any example may take long.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

compiled_once.share()

# What tests build: gateways, and the periodic tasks of services, which begin at their first use.
_built: list[Gateway | PeriodicTask] = []


def _note(kind: type[Gateway | PeriodicTask]) -> None:
    """Note each object of *kind* that is built from now on."""
    init = kind.__init__

    @functools.wraps(init)
    def init_and_note(self: Any, *arguments: Any, **options: Any) -> None:
        init(self, *arguments, **options)
        _built.append(self)

    kind.__init__ = init_and_note  # type: ignore[method-assign]


_note(Gateway)
_note(PeriodicTask)


def _close(before: int) -> None:
    """Close what was built after the first *before*."""
    for built in _built[before:]:
        built.close()
    del _built[before:]


@pytest.fixture(scope="module", autouse=True)
def _shared_end() -> Iterator[None]:
    """Close what the fixtures of a module have built, as its threads log during others' tests."""
    before = len(_built)
    yield
    _close(before)


@pytest.fixture(autouse=True)
def _built_end() -> Iterator[None]:
    """Close what a test builds, as the threads of thousands of gateways slow a machine down.

    What several tests share is built before, and stays until the module ends.
    """
    before = len(_built)
    yield
    _close(before)


@pytest.fixture
def clock() -> Clock:
    """A clock that stands at 0 until the test sets it."""
    return Clock()
