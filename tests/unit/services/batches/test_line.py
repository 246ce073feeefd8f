"""The lines of a batch's input file, and those of its result files."""

import json

import pytest

from tests.support.batch_process import CHAT, line
from wrapper.services.batches import line as line_module
from wrapper.services.batches.line import LineError, answered, load_line

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
