"""Parse the text of a setting that is a list. environs passes defaults through here, too."""

from __future__ import annotations

import json
from typing import Any

from environs import EnvError


def names(text: str | tuple[str, ...], **_: Any) -> tuple[str, ...]:
    if isinstance(text, tuple):  # the default
        return text
    return tuple(part.strip() for part in text.split(",") if part.strip())


def pairs(text: str | tuple[tuple[str, str], ...], **_: Any) -> tuple[tuple[str, str], ...]:
    if isinstance(text, tuple):  # the default
        return text
    pairs = [tuple(side.strip() for side in part.partition("=")[::2]) for part in names(text)]
    if not all(name and target for name, target in pairs):
        raise EnvError("Must be a comma-separated list of name=model.")
    return tuple((name, target) for name, target in pairs)


def origins(text: str | tuple[str, ...], **_: Any) -> tuple[str, ...]:
    if isinstance(text, tuple) or not text.lstrip().startswith("["):
        return names(text)
    try:
        return tuple(str(origin) for origin in json.loads(text))
    except ValueError:
        raise EnvError("Not a valid JSON list.") from None


def tools(text: str | tuple[str, ...], **_: Any) -> tuple[str, ...]:
    listed = names(text)
    return () if listed == ("none",) else listed


PARSERS = {"names": names, "pairs": pairs, "origins": origins, "tools": tools}
