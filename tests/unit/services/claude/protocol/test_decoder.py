"""The decoder reads a line as a frame, or refuses it."""

import pytest

from wrapper.services.claude.protocol.decoder import read_frame


def test_frame():
    """A JSON object with a type is a frame."""
    assert read_frame(b'{"type": "result", "n": 1.5}\n') == {"type": "result", "n": 1.5}


def test_lone_surrogates():
    """A lone surrogate becomes the replacement character; a pair is kept."""
    frame = read_frame(b'{"type": "a", "text": "\\ud83d \\ud83d\\ude00"}')
    assert frame["text"] == "\ufffd \U0001f600"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[1]",
        b"{}",
        b'{"type": 5}',
        b'{"type": "a", "n": NaN}',
        b'{"type": "a", "n": 1e999}',
        b'{"type": "a", "text": "\xff"}',
        b"[" * 100_000,
    ],
    ids=lambda line: repr(line[:30]),
)
def test_other_lines(line):
    """Any other line is a ValueError."""
    with pytest.raises(ValueError):  # noqa: PT011 - the reasons differ
        read_frame(line)
