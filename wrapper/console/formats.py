"""How numbers and times are written on pages."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from markupsafe import Markup, escape

LEAST_SHOWN = 0.0001
SECOND = 1000  # in milliseconds
STEP = 1024  # from a unit of bytes to the next
MINUTE = 60
HOUR = 3600
DAY = 86_400
# What Unicode lets fonts ignore, of what Python calls printable, and the empty braille pattern. The
# last one makes an emoji of a symbol or a digit before it.
BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0e\uffa0]"
    "|[\U000e0100-\U000e01ef]|(?<![0-9#*\u00a9\u00ae\u203c-\u3299\U0001f000-\U0001faff])\ufe0f"
)


def count(number: float) -> str:
    """Return a whole number with its thousands apart: 12,345."""
    return f"{number:,.0f}"


def dollars(amount: float) -> str:
    """Return an amount in dollars: to the cent, or below a dollar to a hundredth of a cent."""
    if amount == 0 or amount >= 1:
        return f"${amount:,.2f}"
    return f"${amount:.4f}" if amount >= LEAST_SHOWN else f"<${LEAST_SHOWN}"


def gigabytes(size: float) -> str:
    """Return a number of bytes in GiB: 1.5 GiB."""
    return f"{size / 1024**3:,.1f} GiB"


def size(number: float) -> str:
    """Return a number of bytes in its largest unit: 340 B, 1.5 MiB."""
    for unit in ("B", "KiB", "MiB"):
        if number < STEP:
            return f"{number:.0f} B" if unit == "B" else f"{number:.1f} {unit}"
        number /= STEP
    return f"{number:,.1f} GiB"


def duration(seconds: float) -> str:
    """Return a length of time in its two largest units: 4 s, 3 min 20 s, 2 h 5 min, 3 d 4 h."""
    whole = int(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE} s"
    if whole < DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"
    return f"{whole // DAY} d {whole % DAY // HOUR} h"


def milliseconds(number: float) -> str:
    """Return a length of time that is measured in milliseconds: 340 ms, 1.2 s, 3 min 20 s."""
    if number < SECOND:
        return f"{number:.0f} ms"
    return f"{number / SECOND:.1f} s" if number < MINUTE * SECOND else duration(number / SECOND)


def moment(seconds: float) -> datetime:
    """Return a time in Unix seconds by UTC; the page shows it in the reader's own time zone."""
    return datetime.fromtimestamp(seconds, UTC)


def visible(text: str) -> str:
    """Return *text* with a code for each character that a reader cannot see or is misled by.

    Those are control characters, such as those that change the direction of what follows, and
    those that are drawn as nothing.
    """
    drawn = BLANK.sub(lambda found: _code(found[0]), text)
    return "".join(char if char.isprintable() or char in "\n\t" else _code(char) for char in drawn)


def _code(char: str) -> str:
    return f"⟨U+{ord(char):04X}⟩"


def marked(text: str) -> Markup:
    """Return *text* with what stands between backticks as code."""
    parts = [escape(part) for part in text.split("`")]
    parts[1::2] = [Markup("<code>{}</code>").format(part) for part in parts[1::2]]
    return Markup("").join(parts)


FORMATS = {
    "count": count,
    "dollars": dollars,
    "duration": duration,
    "gigabytes": gigabytes,
    "marked": marked,
    "milliseconds": milliseconds,
    "moment": moment,
    "size": size,
    "visible": visible,
}
