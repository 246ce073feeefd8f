"""How numbers are written on pages."""

import pytest

from wrapper.console.formats import count, dollars, duration, marked, size, visible


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "$0.00"),
        (0.00001, "<$0.0001"),
        (0.0042, "$0.0042"),
        (0.5, "$0.5000"),
        (1, "$1.00"),
        (1234.5, "$1,234.50"),
    ],
)
def test_dollars(amount, text):
    """Dollars have cents, and below one dollar hundredths of them."""
    assert dollars(amount) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (2048, "2.0 KiB"),
        (1.5 * 2**20, "1.5 MiB"),
        (2**42, "4,096.0 GiB"),
    ],
)
def test_size(number, text):
    """A number of bytes is in its largest unit."""
    assert size(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (273_600, "3 d 4 h")],
)
def test_duration(seconds, text):
    """A length of time has its two largest units."""
    assert duration(seconds) == text


def test_visible():
    """Characters that a reader does not see, or is misled by, are shown as codes."""
    assert visible("rm \u202e\u200b\x1b\r\n\tü") == "rm ⟨U+202E⟩⟨U+200B⟩⟨U+001B⟩⟨U+000D⟩\n\tü"
    for char in "\u3164\u115f\uffa0\u2800\ufe01\ufe0f\U000e0101\u034f\u180b\u17b4":
        assert visible(f"a{char}") == f"a⟨U+{ord(char):04X}⟩"


@pytest.mark.parametrize(
    "emoji", ["\u26a0\ufe0f 日本 é", "1\ufe0f\u20e3", "#\ufe0f\u20e3", "©\ufe0f", "®\ufe0f"]
)
def test_emoji(emoji):
    """What makes an emoji of a symbol or a digit stays."""
    assert visible(emoji) == emoji


def test_marked():
    """What stands between backticks is code, and all of it stays text."""
    assert marked("`keys <new>` & more") == "<code>keys &lt;new&gt;</code> &amp; more"


def test_count():
    """Thousands are apart."""
    assert count(1234567) == "1,234,567"
