"""The support: which parameters a model takes, by its family."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Supports:
    """Whether a model takes a parameter; `thinking_off`, whether it can do without thinking."""

    temperature: bool = True
    top_p: bool = True
    reasoning_effort: bool = True
    thinking_off: bool = True


NEWEST = Supports(temperature=False, top_p=False, thinking_off=False)
# The first that is found in a model's id holds. What is listed here is what Claude Code 2.1 sends
# for each: it does not say so of sampling, and only of models that it lists of thinking.
FAMILIES: tuple[tuple[re.Pattern[str], Supports], ...] = tuple(
    (re.compile(pattern), supports)
    for pattern, supports in (
        (r"claude-(\w+-)?([123]\b|v\d|instant)", Supports(reasoning_effort=False)),
        (r"claude-(opus|sonnet)-4(?!-\d\b)", Supports()),
        # From 4.1 on the API takes only one of both, and Claude Code always sends a temperature.
        (r"claude-\w+-4-[1-6]\b", Supports(top_p=False)),
        (r"claude-\w+-4\b", Supports(temperature=False, top_p=False)),
        (r"claude-(opus|sonnet)-5(?!-\d\b)", Supports(temperature=False, top_p=False)),
    )
)


@lru_cache(maxsize=256)
def supports_of(model: str) -> Supports:
    """Return what *model*, an id of Anthropic's or a provider's, takes, as far as it can be told.

    A family that is not in the table is newer than it. An id that names no family is held for one
    that takes everything, so that its provider judges.
    """
    for pattern, supports in FAMILIES:
        if pattern.search(model):
            return supports
    return NEWEST if "claude-" in model else Supports()
