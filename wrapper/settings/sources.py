"""Where the settings come from, for messages about wrong ones."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import Field, dataclass, fields
from typing import Any

from wrapper.logs.formatting import secrets_of
from wrapper.settings.env_file import EnvFile
from wrapper.settings.masking import MASK
from wrapper.settings.table import Settings
from wrapper.settings.validation import NAME

LONGEST = 100
ENVIRONMENT = "the environment"
KEYWORD = "a keyword of Settings"

_KEY = re.compile(r"\bsk-\S+|[0-9a-fA-F]{64,}")


@dataclass(frozen=True)
class Source:
    """The text of a setting, for a message, and where it was read."""

    shown: str
    place: str


class Sources:
    """The sources of those settings that are set, by their names."""

    def __init__(self, sources: Mapping[str, Source]):
        self._sources = sources

    def place(self, name: str) -> str:
        """Return where a setting was read, or "" if it is not set."""
        return self._sources[name].place if name in self._sources else ""

    def explain(self, mistakes: Iterable[str]) -> list[str]:
        """Return *mistakes*, each with the value and the source of every setting it names."""
        return [f"{mistake}{self._assignments(mistake)}" for mistake in mistakes]

    def _assignments(self, mistake: str) -> str:
        names = [name for name in dict.fromkeys(NAME.findall(mistake)) if name in self._sources]
        sources = [(name, self._sources[name]) for name in names]
        pairs = ", ".join(f"{name}={source.shown} from {source.place}" for name, source in sources)
        return f" ({pairs})" if pairs else ""


def of_environment(file: EnvFile) -> Sources:
    """Return the sources of what the environment sets, to which the variables of *file* belong.

    Flask and an earlier reading put them there, so that one with the file's value is the file's.
    """
    sources = {}
    for row in fields(Settings):
        name = row.name.upper()
        text = os.environ.get(name, "")
        if text:
            place = file.where(name) if file.values.get(name) == text else ENVIRONMENT
            sources[name] = Source(_shown(row, text), place)
    return Sources(sources)


def of_keywords(settings: Settings) -> Sources:
    """Return the sources of those *settings* that differ from the defaults: code has set them."""
    return Sources(
        {
            row.name.upper(): Source(_shown(row, env_text(value)), KEYWORD)
            for row in fields(Settings)
            if (value := getattr(settings, row.name)) != row.default
        }
    )


def env_text(value: Any) -> str:
    """Return a setting's *value* as it is written in the environment."""
    if isinstance(value, tuple):
        # A tuple in it is a pair: name=model.
        return ",".join("=".join(part) if isinstance(part, tuple) else str(part) for part in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def masked(row: Field[Any], text: str) -> str:
    """Return the *text* of the setting *row* without what is secret."""
    if mask := row.metadata["secret"]:
        text = mask(text)
    for secret in _secrets():
        text = text.replace(secret, MASK)
    return _KEY.sub(MASK, text)


def _shown(row: Field[Any], text: str) -> str:
    """Return the *text* of the setting *row* without what is secret, printable and short."""
    text = masked(row, text)
    text = text if text.isprintable() and text == text.strip() else repr(text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _secrets() -> list[str]:
    """Return the secrets of other programs in the environment."""
    own = {row.name.upper() for row in fields(Settings)}
    return secrets_of({name: text for name, text in os.environ.items() if name not in own})
