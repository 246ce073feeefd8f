"""The figures: what a completion's turns used, as OpenAI tells it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from wrapper.services.events import Ended, Usage

Json = dict[str, Any]


def build_usage(ended: Iterable[Ended]) -> Json:
    """Return OpenAI's usage, summed over the choices, with what they cost in `cost_usd`."""
    ended = list(ended)
    used = [end.usage for end in ended]
    prompt = sum(u.input + u.cache_read + u.cache_creation for u in used)
    output = sum(u.output for u in used)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": _prompt_details(used),
        "completion_tokens_details": {
            "reasoning_tokens": sum(u.reasoning for u in used),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
        "cost_usd": _cost(ended),
    }


def _prompt_details(used: list[Usage]) -> Json:
    return {
        "cached_tokens": sum(u.cache_read for u in used),
        "cache_write_tokens": sum(u.cache_creation for u in used),
        "audio_tokens": 0,
    }


def _cost(ended: list[Ended]) -> float | None:
    """Return the sum in dollars, or None where a part of it is not known."""
    costs = [end.cost_usd for end in ended]
    known = [cost for cost in costs if cost is not None]
    return round(sum(known), 9) if len(known) == len(costs) else None
