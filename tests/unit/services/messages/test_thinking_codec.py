"""Thinking blocks as an opaque text that a client keeps."""

import base64
import zlib

import pytest

from wrapper.services.messages.thinking_codec import (
    MOST_BYTES,
    THINKING_PREFIX,
    dump_thinking,
    load_thinking,
)
from wrapper.services.turn import RedactedThinking, Thinking

PARTS = (Thinking("Let me see: é 😀", "sig", "p"), RedactedThinking("data"), Thinking("", "s"))


def packed(data):
    return THINKING_PREFIX + base64.urlsafe_b64encode(zlib.compress(data)).decode()


def test_round_trip():
    """What is written is read back unchanged."""
    text = dump_thinking(PARTS)
    assert text.startswith(THINKING_PREFIX)
    assert text.isascii()
    assert load_thinking(text) == PARTS


@pytest.mark.parametrize(
    "text",
    [
        THINKING_PREFIX,
        f"{THINKING_PREFIX}!!!",
        f"{THINKING_PREFIX}QUJD",
        dump_thinking(PARTS)[:-8],
        packed(b"{}"),
        packed(b"[1]"),
        packed(b'[{"kind": "other"}]'),
        packed(b'[{"kind": "thinking", "text": 1, "signature": "s"}]'),
        packed(b'[{"kind": "thinking", "text": "t"}]'),
        packed(b'[{"kind": "redacted", "data": "d", "more": "x"}]'),
        packed(b"not JSON"),
    ],
)
def test_changed(text):
    """A text that was changed is refused."""
    with pytest.raises(ValueError, match=r"."):
        load_thinking(text)


def test_bomb():
    """A small text cannot take much memory."""
    with pytest.raises(ValueError, match="too long"):
        load_thinking(packed(b" " * (MOST_BYTES + 1)))
