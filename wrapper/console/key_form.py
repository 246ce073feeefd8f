"""The form of a key's ceilings: from their values to texts, and back with every mistake named."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import ValidationError

from wrapper.schemas.base import StrictBool, StrictFloat
from wrapper.schemas.keys import CEILINGS, CONFIG, WEBHOOK, KeySchema, NamesField, load_key
from wrapper.services.principal import Principal
from wrapper.settings import PERMISSION_MODES, Settings

_TYPES = KeySchema("any").fields
LISTS = frozenset(name for name, type_ in _TYPES.items() if isinstance(type_, NamesField))
FLAGS = frozenset(name for name, type_ in _TYPES.items() if isinstance(type_, StrictBool))
DOLLARS = frozenset(name for name, type_ in _TYPES.items() if isinstance(type_, StrictFloat))
CHOICES = {"profile": ("agent", "plain"), "permission_mode": PERMISSION_MODES}
# A list that allows nothing, which an empty field does not say.
NOTHING = "none"
_NUMBER = re.compile(r"[0-9]{1,10}(\.[0-9]{1,9})?", re.ASCII)
# Any key's hash, to check the other fields with.
_HASH = "1" * 64


@dataclass(frozen=True)
class Field:
    """A field of the form: its name, what it means, its text, and what is wrong with it."""

    name: str
    meaning: str
    text: str
    mistake: str = ""

    @property
    def kind(self) -> str:
        """Return lines, choice, flag or number."""
        if self.name in LISTS:
            return "lines"
        if self.name in CHOICES:
            return "choice"
        return "flag" if self.name in FLAGS else "number"

    @property
    def choices(self) -> tuple[str, ...]:
        return CHOICES.get(self.name, ())

    @property
    def title(self) -> str:
        words = self.name.replace("_", " ").replace("usd", "dollars").capitalize()
        return words.replace("Mcp", "MCP")


def form_of(principal: Principal) -> list[Field]:
    """Return the form with the ceilings that a key has."""
    default = Principal(principal.name)
    values = {name: getattr(principal, name) for name, _ in _shown()}
    texts = {n: _text(value) if value != getattr(default, n) else "" for n, value in values.items()}
    return [Field(name, meaning, texts[name]) for name, meaning in _shown()]


def with_mistakes(sent: Mapping[str, str], mistakes: Mapping[str, str]) -> list[Field]:
    """Return the form as it was *sent*, with what is wrong."""
    return [Field(name, why, sent.get(name, ""), mistakes.get(name, "")) for name, why in _shown()]


def read(
    sent: Mapping[str, str], name: str, settings: Settings
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the ceilings that were *sent* for the key *name*, and the mistakes by field."""
    ceilings = {field: value for field, _ in _shown() if (value := _value(field, sent)) is not None}
    try:
        load_key(name, {"sha256": _HASH, **ceilings}, settings)
    except ValidationError as error:
        return ceilings, {field: _first(why) for field, why in error.messages_dict.items()}
    return ceilings, {}


def summary(principal: Principal) -> list[tuple[str, str]]:
    """Return the ceilings that a key has, but for whether it is an admin's."""
    default = Principal(principal.name)
    return [
        (field.title, field.text.replace("\n", ", "))
        for field in form_of(principal)
        if field.name != "admin" and getattr(principal, field.name) != getattr(default, field.name)
    ]


def _shown() -> list[tuple[str, str]]:
    hidden = (CONFIG, *WEBHOOK)
    return [(name, meaning) for name, meaning in CEILINGS.items() if name not in hidden]


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return "\n".join(value) or NOTHING
    if isinstance(value, float):
        return f"{value:.9f}".rstrip("0").rstrip(".")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _value(field: str, sent: Mapping[str, str]) -> Any:
    """Return a field's value as TOML has it, or None where it is empty."""
    text = sent.get(field, "").strip()
    if not text:
        return None
    if field in LISTS:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return [] if lines == [NOTHING] else lines
    if field in FLAGS:
        return True
    if field in CHOICES or not _NUMBER.fullmatch(text):
        return text
    return float(text) if field in DOLLARS or "." in text else int(text)


def _first(why: Any) -> str:
    return str(why[0] if isinstance(why, list) else why)
