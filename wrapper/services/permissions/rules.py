"""The permission rules, in Claude Code's syntax: a tool's name, and in brackets what of it."""

from __future__ import annotations

import re
from collections.abc import Container

_RULE = re.compile(r"(\w+)(\(.*\))?", re.DOTALL)
_RULES = re.compile(r"[^\s,(]+(?:\([^)]*\))?")


def split_rules(text: str) -> tuple[str, ...]:
    """Return the rules in *text*, which commas or spaces part."""
    return tuple(_RULES.findall(text))


def is_rule(text: str, tools: Container[str]) -> bool:
    """Say whether *text* is a rule for one of *tools*; one for another would change nothing."""
    found = _RULE.fullmatch(text)
    return found is not None and found[1] in tools
