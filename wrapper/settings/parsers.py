"""Parse the text of a setting. Each function returns a value, or raises ValueError with a reason.

The text is not empty, and has no blanks at its ends unless it is secret.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

TRUE = ("true", "yes", "on", "1", "t", "y")
FALSE = ("false", "no", "off", "0", "f", "n")


def host(text: str) -> str:
    """Return a host without the brackets that an IPv6 address has in a URL."""
    return text[1:-1] if text.startswith("[") and text.endswith("]") else text


def integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("must be a whole number") from None


def seconds_of(text: str) -> float:
    """Return the time that is written in ISO 8601, in Unix seconds; without a zone it is UTC's.

    A setting keeps its text.
    """
    time = datetime.fromisoformat(text)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def flag(text: str) -> bool:
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise ValueError("must be true or false")


def key(text: str) -> str:
    """Return a key as clients can send it: a header's value has no blanks at its ends."""
    if any(char.isspace() or not char.isprintable() for char in text):
        raise ValueError("must not contain blanks, line breaks or control characters; remove them")
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        raise ValueError("is in quotes, which would belong to the key; remove them")
    return text


def words(known: Iterable[str]) -> Callable[[str], str]:
    """Return a parser that accepts the *known* words in upper and lower case, and other texts.

    If they include true and false, it also accepts the words that a flag has for these.
    """
    by_letters = {word.lower(): word for word in known}
    for meaning, spellings in (("true", TRUE), ("false", FALSE)):
        if meaning in by_letters:
            by_letters |= dict.fromkeys(spellings, meaning)

    def word(text: str) -> str:
        return by_letters.get(text.lower(), text)

    return word


def names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def pairs(text: str) -> tuple[tuple[str, str], ...]:
    pairs = [tuple(side.strip() for side in part.partition("=")[::2]) for part in names(text)]
    if not all(name and target for name, target in pairs):
        raise ValueError("must be a comma-separated list of name=model")
    return tuple((name, target) for name, target in pairs)


def origins(text: str) -> tuple[str, ...]:
    if not text.startswith("["):
        return tuple("none" if name.lower() == "none" else name for name in names(text))
    try:
        return tuple(str(origin) for origin in json.loads(text))
    except ValueError:
        raise ValueError("is not a valid JSON list") from None


def tools(text: str) -> tuple[str, ...]:
    listed = names(text)
    return () if [name.lower() for name in listed] == ["none"] else listed
