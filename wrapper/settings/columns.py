"""The columns of the settings' table: parser, default, meaning and check, one function a kind."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import Field, field
from typing import Any

from marshmallow import ValidationError, validate

from wrapper.settings import parsers, spelling

Check = Callable[..., Any]
Mask = Callable[[str], str]
Parser = Callable[[str], Any]

# Stores take larger numbers for none.
MOST = 2**53
# The system counts the milliseconds of a wait in 31 bits: 24 days. The gateway adds to some waits.
MOST_MILLISECONDS = 2**31 - 1
MOST_SECONDS = 2_000_000
# Dates of later years cannot be written.
CENTURY = 36_525 * 86_400


def between(least: int, most: int = MOST) -> Check:
    """Return a check that a number is one of these; of a wrong one it says only what it exceeds."""
    return validate.And(validate.Range(min=least), validate.Range(max=most))


positive = between(1)
not_negative = between(0)
milliseconds = between(1, MOST_MILLISECONDS)
seconds = between(1, MOST_SECONDS)
seconds_or_none = between(0, MOST_SECONDS)
not_empty = validate.Length(min=1)


def has_home(path: str) -> None:
    """Check that there is the user whose home directory `~user` at the start of *path* names."""
    home = path.partition("/")[0]
    if home.startswith("~") and home != "~" and os.path.expanduser(home) == home:
        raise ValidationError(f"there is no home directory for {home}; write the path out")


def text(
    default: str,
    meaning: str,
    check: Check | None = None,
    *,
    parse: Parser = str,
    secret: Mask | None = None,
) -> Any:
    """Return a setting that is a text. Of a *secret* one, messages show what that returns."""
    return _setting(str, parse, default, meaning, check, secret)


def integer(default: int, meaning: str, check: Check) -> Any:
    return _setting((int, float), parsers.integer, default, meaning, check)


def moment(meaning: str) -> Any:
    """Return a setting that is a time in ISO 8601, or empty."""

    def is_time(value: str) -> None:
        try:
            parsers.seconds_of(value or "2000-01-01")
        except ValueError:
            raise ValidationError("must be a date or a time, such as 2027-06-30T12:00Z") from None

    return text("", meaning, is_time)


def flag(default: bool, meaning: str) -> Any:
    return _setting(bool, parsers.flag, default, meaning)


def choice(default: str, meaning: str, choices: tuple[str, ...]) -> Any:
    """Return a setting that is one of *choices*, in upper or lower case."""

    def is_one(value: str) -> None:
        if value not in choices:
            hint = spelling.did_you_mean([value], choices)
            raise ValidationError(f"must be one of {', '.join(choices)}{hint}")

    return _setting(str, parsers.words(choices), default, meaning, is_one)


def listing(parse: Parser, default: tuple[Any, ...], meaning: str) -> Any:
    """Return a setting that is a list, which *parse* returns as a tuple."""
    return _setting((tuple, list), parse, default, meaning)


def mistake(row: Field[Any], value: Any) -> str | None:
    """Return what is wrong with the *value* of the setting *row*, or None."""
    kinds = row.metadata["kinds"]
    if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
        return f"must be of the type {row.type}"
    try:
        if check := row.metadata["check"]:
            check(value)
    except ValidationError as error:
        message = str(error.messages[0])
        return message[:1].lower() + message[1:].rstrip(".")
    return None


def _setting(
    kinds: type | tuple[type, ...],
    parse: Parser,
    default: Any,
    meaning: str,
    check: Check | None = None,
    secret: Mask | None = None,
) -> Any:
    metadata = {
        "kinds": kinds,
        "parse": parse,
        "meaning": meaning,
        "check": check,
        "secret": secret,
    }
    return field(default=default, metadata=metadata, repr=secret is None)
