"""What all unit tests share."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from wrapper.gateway import Gateway

# On a busy machine any example may take long.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

_built: list[Gateway] = []
_init = Gateway.__init__


@functools.wraps(_init)
def _init_and_note(self: Gateway, *arguments: Any, **options: Any) -> None:
    _init(self, *arguments, **options)
    _built.append(self)


Gateway.__init__ = _init_and_note  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def _close_gateways() -> Iterator[None]:
    """Close the gateways that a test builds, as the threads of thousands slow a machine down.

    Those of fixtures that several tests share are built before, and stay.
    """
    before = len(_built)
    yield
    for gateway in _built[before:]:
        gateway.close()
    del _built[before:]
