"""The lines of a batch's input file, and those of its result files."""

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.support.batch_process import CHAT, line
from wrapper.services.batches import line as line_module
from wrapper.services.batches.line import (
    LONGEST_LINE,
    LineError,
    answered,
    load_line,
    split,
)
from wrapper.services.batches.line_index import LineSpan
from wrapper.services.batches.running import RunningBatch
from wrapper.services.files.service import FileService

DIGITS = b"0.12345678901234567890"


def test_digits():
    """A request of a batch has all digits of its numbers."""
    data = line("a", body={"tools": [{"const": "X"}, 12345678901234567890, 0.5]})
    body = load_line(data.replace(b'"X"', DIGITS), CHAT).body
    assert body == b'{"tools": [{"const": %s}, 12345678901234567890, 0.5]}' % DIGITS


def test_too_deep(monkeypatch):
    """A body that cannot be written again is the error of its line."""

    def write(body):
        raise RecursionError

    monkeypatch.setattr(line_module, "write_exact", write)
    with pytest.raises(LineError, match=r"body: .*too deeply") as caught:
        load_line(line("a"), CHAT)
    assert caught.value.custom_id == "a"


@pytest.mark.parametrize("rest", [b"", b"{}"])
def test_too_long(rest):
    """A line that is too long is found, whatever it begins with."""
    blanks = [b" " * 1024 * 1024] * (LONGEST_LINE // 1024 // 1024)
    lines = split([b"{}\n", *blanks, b" ", rest, b"\n\n{}"])
    assert [(number, data) for _, number, data in lines] == [(1, b"{}"), (2, None), (4, b"{}")]


def test_the_line_alone():
    """A batch reads a line without the empty ones that follow it, however long those are."""
    read = []

    def pieces(*_):
        for piece in (b"a", b"b\n ", b" " * 9):
            read.append(piece)
            yield piece

    known: tuple[Any, ...] = (None, None, "file")
    files = cast(FileService, SimpleNamespace(read=pieces))
    assert RunningBatch(*known).read(files, LineSpan(0, 13, 1)) == b"ab"
    assert read == [b"a", b"b\n "]


def test_answers_are_lines():
    """An answer of several lines becomes one, with all digits of its numbers."""
    data = answered("batch_req_1", "a", 200, "req_1", b'{"x":\n%s}\n' % DIGITS)
    assert b"\n" not in data
    assert DIGITS in data
    assert json.loads(data)["response"]["body"] == {"x": float(DIGITS)}


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"<p>"), (400, b""), (302, b"{}"), (200, b"\xff")]
)
def test_answers_of_an_app(status, body):
    """An answer without JSON, or a redirect, is the error of its line, which names the app."""
    with pytest.raises(LineError, match=f"app around it answered, with status {status}") as caught:
        answered("batch_req_1", "a", status, "req_1", body)
    assert (caught.value.code, caught.value.custom_id) == ("unexpected_answer", "a")
