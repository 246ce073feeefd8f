"""Permission rules in Claude Code's syntax: a tool's name and, in brackets, a pattern."""

from __future__ import annotations

import re
from collections.abc import Container

_RULE = re.compile(r"(\w+)(\(.*\))?", re.DOTALL)
_RULES = re.compile(r"[^\s,(]+(?:\([^)]*\))?")


def split_rules(text: str) -> tuple[str, ...]:
    """Return the rules in *text*, separated by commas or spaces."""
    return tuple(_RULES.findall(text))


def is_rule(text: str, tools: Container[str]) -> bool:
    """Say whether *text* is a rule for one of *tools*. Rules for other tools have no effect."""
    match = _RULE.fullmatch(text)
    return match is not None and match[1] in tools


def tool_of(rule: str) -> str:
    """Return the name of the tool that *rule* is for."""
    return rule.partition("(")[0]
