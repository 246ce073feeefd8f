"""Decode a file that somebody has edited."""

from __future__ import annotations

import codecs


def decode(data: bytes) -> str:
    """Return the text of *data*, which editors on Windows may begin with a byte order mark.

    Raises ValueError, which says in which line it is not UTF-8.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        form = ", but UTF-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else ""
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(f"line {line}: is not UTF-8{form}; save it as UTF-8") from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise ValueError(f"line {line}: holds a NUL character, as UTF-16 does; save it as UTF-8")
    return text
