"""The log of one part of the gateway, as threads of other parts may log during any test."""

from __future__ import annotations

from typing import Any

import pytest


def records_of(caplog: pytest.LogCaptureFixture, source: Any) -> list[Any]:
    """Return what the module of *source*, a class or a function, has logged."""
    return [record for record in caplog.records if record.name == source.__module__]


def messages_of(caplog: pytest.LogCaptureFixture, source: Any) -> list[str]:
    return [record.getMessage() for record in records_of(caplog, source)]
