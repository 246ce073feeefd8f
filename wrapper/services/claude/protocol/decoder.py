"""Decode one line of Claude Code's output into a frame."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

Frame = dict[str, Any]

# JavaScript writes only lone surrogates like this; it writes whole pairs as UTF-8.
_LONE_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def read_frame(line: bytes) -> Frame:
    """Return the frame in *line*. Every text and number in it can be sent on as JSON and UTF-8.

    Raises ValueError if the line is not a JSON object with a type.
    """
    try:
        frame = json.loads(line.decode(), parse_constant=_refuse, parse_float=_finite)
        if _LONE_SURROGATE.search(line):
            frame = json.loads(_replace_surrogates(json.dumps(frame, ensure_ascii=False)))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
        raise ValueError("not a frame")
    return frame


def _replace_surrogates(text: str) -> str:
    """Return *text* with a replacement character in place of each lone surrogate."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        _refuse(digits)
    return number


def _refuse(number: str) -> NoReturn:
    raise ValueError(f"{number[:20]} is not a finite number")
