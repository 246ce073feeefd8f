"""The support: which parameters a model takes, by its family."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache


@dataclass(frozen=True)
class Supports:
    """Whether a model takes a parameter; `thinking_off`, whether it can do without thinking."""

    temperature: bool = True
    top_p: bool = True
    reasoning_effort: bool = True
    thinking_off: bool = True
    max_output_tokens: int = 128_000


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


# The most tokens of an answer, by the same rule, where they are fewer than 128,000; what is above
# that Claude Code 2.1.330 cuts off.
OUTPUT: tuple[tuple[re.Pattern[str], int], ...] = tuple(
    (re.compile(pattern), most)
    for pattern, most in (
        (r"claude-3-(opus|haiku)", 4_096),
        (r"claude-3-sonnet|claude-3-5-", 8_192),
        (r"claude-opus-4(?!-[5-9]\b)", 32_000),
        (r"claude-3-7-sonnet|claude-sonnet-4(?!-[6-9]\b)|claude-(haiku|opus)-4-5\b", 64_000),
    )
)


@lru_cache(maxsize=256)
def supports_of(model: str) -> Supports:
    """Return what *model*, an id of Anthropic's or a provider's, takes, as far as it can be told.

    A family that is not in the table is newer than it. An id that names no family is held for one
    that takes everything, so that its provider judges.
    """
    found = (supports for pattern, supports in FAMILIES if pattern.search(model))
    supports = next(found, NEWEST if "claude-" in model else Supports())
    limits = (most for pattern, most in OUTPUT if pattern.search(model))
    return replace(supports, max_output_tokens=next(limits, supports.max_output_tokens))
