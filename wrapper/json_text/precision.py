"""Find JSON values that JavaScript changes, and write them so that it does not.

Claude Code is written in JavaScript, which reads every number as a double: long integers and long
decimals lose digits, and -0 loses its sign. It also moves keys that look like array indexes to the
front of their object. Strings pass through unchanged.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

# The name of the property that lists an object's keys in their order.
KEY_ORDER = "keys in order"

# Longer numbers count as changed: comparing them would cost too much.
_DIGITS = 400
# JavaScript writes larger integers with an exponent.
_LARGEST = 10**21
# JSON that JavaScript may change has 16 digits, an exponent, -0, or a numeric key. Most texts have
# none. The pattern begins with a set of characters, which makes the search quick.
_SUSPECT = re.compile(
    r"""[-0-9"](?:(?<=[0-9])(?:[eE]|[0-9.]{15})|(?<=-)0|(?<=")[0-9]{1,10}"\s*:)"""
)
_PLAIN = re.compile("-?[0-9]+(?:[.][0-9]+)?")
_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")
_LARGEST_INDEX = 2**32 - 2
_encode = json.JSONEncoder(ensure_ascii=False).encode


def is_suspect(text: str) -> bool:
    """Return whether JavaScript may change a value in *text*, JSON. Quick; may be a false alarm."""
    return _SUSPECT.search(text) is not None


def changes_number(digits: str) -> bool:
    """Return whether JavaScript changes the value of *digits*, a JSON number, or its sign."""
    if len(digits) <= 15 and _PLAIN.fullmatch(digits):  # most numbers
        return digits.startswith("-") and float(digits) == 0
    if len(digits) > _DIGITS:
        return True
    number = float(digits)
    if repr(number) == digits:
        return False
    if not math.isfinite(number):
        return True
    mantissa = re.split("[eE]", digits)[0]
    if number == 0:
        return digits.startswith("-") or mantissa.strip("0.") != ""
    if mantissa == digits and "." not in digits and abs(number) >= _LARGEST:
        return True
    return Decimal(repr(number)) != Decimal(digits)


def reorders(keys: Iterable[str]) -> bool:
    """Return whether JavaScript changes the order of an object's *keys*."""
    keys = list(keys)
    indexes = [int(key) for key in keys if _is_index(key)]
    return any(map(_is_index, keys[len(indexes) :])) or indexes != sorted(indexes)


def changes(value: Any) -> bool:
    """Return whether JavaScript changes *value*, a parsed JSON value.

    Numbers that Python's int and float cannot hold are Decimals in it.
    """
    match value:
        case bool() | str() | None:
            return False
        case int():
            return abs(value) >= 2**53 and (abs(value) >= _LARGEST or changes_number(str(value)))
        case float():
            return value == 0 and math.copysign(1, value) < 0
        case Mapping():
            return reorders(value) or any(map(changes, value.values()))
        case list() | tuple():
            return any(map(changes, value))
    return True


def is_exact(text: str) -> bool:
    """Return whether JavaScript keeps the value of *text*. True for a text that is not JSON."""
    if not is_suspect(text):
        return True
    try:
        return not _read_exact(text)[1]
    except (ValueError, RecursionError):
        return True


def exact_object(text: str) -> tuple[dict[str, Any], bool]:
    """Return the object in *text* in a form that JavaScript keeps, and whether that differs.

    A number that JavaScript would change becomes a string of its digits. An object whose keys it
    would reorder gets a property KEY_ORDER, which lists them.
    """
    if not is_suspect(text):
        parsed: dict[str, Any] = json.loads(text)
        return parsed, False
    parsed, changed = _read_exact(text)
    return parsed, changed


def is_text_of(text: str, read: Any) -> bool:
    """Return whether *read* is what JavaScript makes of *text*. False if *text* is not JSON."""
    try:
        return is_read_as(json.loads(text), read)
    except (ValueError, RecursionError):
        return False


def is_read_as(written: Any, read: Any) -> bool:
    """Return whether *read* is what JavaScript makes of *written*; both are parsed JSON values."""
    match written:
        case Mapping():
            return (
                isinstance(read, Mapping)
                and written.keys() == read.keys()
                and all(is_read_as(value, read[key]) for key, value in written.items())
            )
        case list():
            return (
                isinstance(read, list)
                and len(written) == len(read)
                and all(map(is_read_as, written, read))
            )
        case bool() | str() | None:
            return type(read) is type(written) and bool(read == written)
    number = _as_double(written)
    if math.isinf(number):
        return read is None
    return type(read) in (int, float) and _as_double(read) == number


def _as_double(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _read_exact(text: str) -> tuple[Any, bool]:
    changed: list[bool] = []

    def read(digits: str) -> float | int | str:
        if changes_number(digits):
            changed.append(True)
            return digits
        return float(digits) if set(digits) & set(".eE") else int(digits)

    def read_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        built = dict(pairs)
        if not reorders(built):
            return built
        changed.append(True)
        name = KEY_ORDER
        while name in built:
            name += "_"
        return {**built, name: list(built)}

    parsed = json.loads(text, parse_int=read, parse_float=read, object_pairs_hook=read_pairs)
    return parsed, bool(changed)


def write_exact(value: Any) -> str:
    """Return *value* as JSON, with all digits of its Decimals."""
    try:
        return _encode(value)
    except TypeError:
        pieces: list[str] = []
        _write(value, pieces.append)
        return "".join(pieces)


def _write(value: Any, put: Callable[[str], None]) -> None:
    """Pass the pieces of *value* as JSON to *put*, and copy none at each level."""
    match value:
        case Mapping():
            put("{")
            for place, (key, inner) in enumerate(value.items()):
                put(f"{', ' if place else ''}{_encode(key)}: ")
                _write(inner, put)
            put("}")
        case list() | tuple():
            put("[")
            for place, inner in enumerate(value):
                put(", " if place else "")
                _write(inner, put)
            put("]")
        case Decimal():
            put(str(value))
        case _:
            put(_encode(value))


def read_number(digits: str) -> float | Decimal:
    """Return the number of *digits*, as a Decimal if a float cannot hold all of them.

    Raises ValueError if the number is outside the range of floats.
    """
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:20]} is too large a number")
    if repr(number) == digits or (len(digits) <= 15 and abs(number) > 1e-300):
        return number
    if number == 0 and re.split("[eE]", digits)[0].strip("-0."):
        raise ValueError(f"{digits[:20]} is too small a number")
    return Decimal(digits) if number and changes_number(digits) else number


def _is_index(key: str) -> bool:
    return _INDEX.fullmatch(key) is not None and int(key) <= _LARGEST_INDEX
