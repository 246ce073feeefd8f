"""The arguments of a call, read so that they can be written again unchanged."""

from __future__ import annotations

import json
from typing import Any

from wrapper.json_text.value_count import MOST_VALUES, has_too_many_values


def arguments_of(text: str) -> dict[str, Any]:
    """Return the arguments of a call. Numbers become texts of their digits.

    Raises ValueError where *text* is no JSON object, has too many values, or cannot be written
    again unchanged: NaN and lone surrogates are not valid JSON, and of a name that stands twice a
    parser keeps only the last value.
    """
    if len(text) > MOST_VALUES and has_too_many_values(text.encode(errors="surrogatepass")):
        raise ValueError(f"more than {MOST_VALUES} values")
    parsed = json.loads(
        text,
        parse_constant=_refuse_constant,
        parse_int=str,
        parse_float=str,
        object_pairs_hook=_object_of_pairs,
    )
    json.dumps(parsed, ensure_ascii=False).encode()
    if not isinstance(parsed, dict):
        raise ValueError("no object")
    return parsed


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _object_of_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    parsed = dict(pairs)
    if len(parsed) != len(pairs):
        raise ValueError("one name twice")
    return parsed
