"""The validation of input files: it reads them in pieces, and lets other threads work meanwhile."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest

from tests.support.batch_process import CHAT, line
from wrapper.services.batches import validation
from wrapper.services.batches.validation import TooManyLines, validate


def refuse(results):
    """Take the results of lines that cannot run."""


def test_pauses(monkeypatch):
    """It pauses once it has worked for a moment, as other threads wait for Python's lock."""
    pauses: list[float] = []
    times = itertools.count(0.0, validation.WORK_SECONDS / 2)
    clock = SimpleNamespace(monotonic=times.__next__, sleep=pauses.append)
    monkeypatch.setattr(validation, "time", clock)
    assert validate([line(str(number)) for number in range(9)], 0, CHAT, refuse).total == 9
    assert pauses == [validation.PAUSE_SECONDS] * 4


@pytest.mark.parametrize(("content", "most"), [(b"{}\n", 2000), (b"\n", 4000)])
def test_too_many_lines(content, most, monkeypatch):
    """It stops reading at the first line too many, also of empty ones."""
    monkeypatch.setattr(validation, "MOST_LINES", 2000)
    left = iter([content * 100] * 1000)
    with pytest.raises(TooManyLines):
        validate(left, 0, CHAT, refuse)
    assert 1000 - len([*left]) <= most // 100 + 1
