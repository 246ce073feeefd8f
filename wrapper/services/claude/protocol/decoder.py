"""The line: one frame as Claude Code has written it, or the reason why it is none."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

Frame = dict[str, Any]

# JavaScript writes half a surrogate pair so, and nothing else: whole ones it writes as UTF-8.
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")


def read_frame(line: bytes) -> Frame:
    """Return the frame in *line*, of which every text and number can be sent on as it is.

    Raises ValueError where it is no JSON object that tells its type.
    """
    try:
        frame = json.loads(line.decode(), parse_constant=_refuse, parse_float=_finite)
        if _HALF.search(line):
            frame = json.loads(_mended(json.dumps(frame, ensure_ascii=False)))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
        raise ValueError("no frame")
    return frame


def _mended(text: str) -> str:
    """Return *text* with a replacement character for each half of a pair that stands alone."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        _refuse(digits)
    return number


def _refuse(number: str) -> NoReturn:
    raise ValueError(f"{number[:20]} is no number")
