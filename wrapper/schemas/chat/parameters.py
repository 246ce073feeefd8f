"""The parameters: every one that OpenAI documents for a chat completion, and what becomes of it.

Some of Anthropic's Messages API are among them, since clients send them, too.

Validation, the header x-ignored-params, the OpenAPI document and docs/ all read this table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from marshmallow import ValidationError

from wrapper.schemas.base import Coded, is_neutral


class Kind(Enum):
    """What becomes of a parameter that asks for something."""

    HONOURED = "honoured"
    REFUSED = "refused"
    IDLE = "without effect"


@dataclass(frozen=True)
class Parameter:
    """A parameter's kind, its meaning here, and the values that, like null, ask for nothing."""

    kind: Kind
    meaning: str
    neutral: tuple[Any, ...] = ()

    @property
    def description(self) -> str:
        """Return the meaning as the OpenAPI document tells it, with the kind where it matters."""
        if self.kind is Kind.IDLE:
            return f"Checked, and without effect. {self.meaning}"
        return self.meaning


def _honoured(meaning: str, *neutral: Any) -> Parameter:
    return Parameter(Kind.HONOURED, meaning, neutral)


def _refused(meaning: str, *neutral: Any) -> Parameter:
    return Parameter(Kind.REFUSED, meaning, neutral)


def _idle(meaning: str, *neutral: Any) -> Parameter:
    return Parameter(Kind.IDLE, meaning, neutral)


_SET_NOTHING = "Claude has nothing that it could set."
_CACHING = "Claude Code sees to the cache by itself."

PARAMETERS: dict[str, Parameter] = {
    "model": _honoured("One of /models."),
    "messages": _honoured(
        "Of every role and shape. What the model's API does not accept is sent in another form, "
        "which x-adapted-messages names."
    ),
    "stream": _honoured("Whether the answer comes as server-sent events.", False),
    "stream_options": _honoured("With stream only; include_usage."),
    "max_tokens": _honoured(
        "The most tokens of an answer; max_completion_tokens wins over it. What is above the "
        "model's most is sent as that and named in x-clamped-params."
    ),
    "max_completion_tokens": _honoured("The most tokens of an answer, thinking among them."),
    "temperature": _honoured(
        "0 to 2. What is above 1, the model's most and its default, is sent as 1 and named in "
        "x-clamped-params. Without effect on a model that does not take it.",
        1,
    ),
    "top_p": _honoured("0 to 1. Without effect on a model that does not take it.", 1),
    "stop": _honoured("A text that ends the answer, or up to four.", []),
    "n": _honoured(
        "How many answers, up to 8 and MAX_CONCURRENT_TURNS; each is a turn of its own.", 1
    ),
    "reasoning_effort": _honoured(
        "Other than none, it goes with no temperature or top_p below 1. Without effect on a model "
        "that does not think; none, on one that always does."
    ),
    "claude": _honoured("Claude Code's own knobs."),
    "session_id": _honoured(
        "A name for the conversation, which the gateway then remembers: send only what is new."
    ),
    "tools": _honoured("Functions of the client's, up to 128.", []),
    "tool_choice": _honoured("Which of the tools are to be called.", "none", "auto"),
    "parallel_tool_calls": _honoured("Whether one answer may have several calls.", True),
    "functions": _honoured("tools, in the API's first form.", []),
    "function_call": _honoured("tool_choice, in the API's first form.", "none", "auto"),
    "response_format": _honoured(
        "text, json_object, or json_schema: the answer is then checked against the schema.",
        {"type": "text"},
    ),
    "system": _honoured(
        "The system prompt as Anthropic's API has it, a text or blocks of text. It comes before "
        "the system messages.",
        "",
        [],
    ),
    "thinking": _honoured(
        "As Anthropic's API has it: disabled means the reasoning_effort none, adaptive medium, and "
        "enabled the least whose budget is not below budget_tokens (minimal 1024, low 4096, "
        "medium 10,000, high 20,000, else xhigh; without budget_tokens medium). Without effect "
        "beside reasoning_effort, and unless disabled, beside a temperature or top_p below 1."
    ),
    "stop_sequences": _honoured("stop, as Anthropic's API names it; both may be given.", []),
    "logprobs": _refused("Claude tells no probabilities.", False),
    "top_logprobs": _refused("Claude tells no probabilities.", 0),
    "logit_bias": _refused("Claude's tokens are not OpenAI's.", {}),
    "modalities": _refused("Answers are text.", ["text"]),
    "audio": _refused("Answers are text."),
    "web_search_options": _refused("The agent profile searches by itself."),
    "presence_penalty": _idle(_SET_NOTHING, 0),
    "frequency_penalty": _idle(_SET_NOTHING, 0),
    "seed": _idle(_SET_NOTHING),
    "verbosity": _idle("Ask for it in a system message.", "medium"),
    "prediction": _idle(_SET_NOTHING),
    "user": _idle("Where it would go, Claude Code tells of itself."),
    "safety_identifier": _idle("Where it would go, Claude Code tells of itself."),
    "metadata": _idle("Nothing is kept by it.", {}),
    "store": _idle("Nothing is kept.", False),
    "service_tier": _idle("The answer always says default.", "auto", "default"),
    "prompt_cache_key": _idle(_CACHING),
    "prompt_cache_options": _idle(_CACHING, {}),
    "prompt_cache_retention": _idle(_CACHING),
    "moderation": _idle("What the model's own provider refuses ends with content_filter."),
    "top_k": _idle("Claude Code does not send it.", 0, -1),
    "cache_control": _idle(f"{_CACHING} Also in messages, parts, and tools.", {}),
}


def of_kind(kind: Kind) -> dict[str, Parameter]:
    """Return the parameters of *kind*, by name."""
    return {name: one for name, one in PARAMETERS.items() if one.kind is kind}


_OF_KIND = {kind: of_kind(kind) for kind in Kind}


def asked(body: Mapping[str, Any], kind: Kind) -> Iterator[str]:
    """Yield the parameters of *kind* that *body*, a request, sets to what is not neutral."""
    for name, parameter in _OF_KIND[kind].items():
        if not is_neutral(body.get(name), parameter.neutral):
            yield name


def drop(
    body: Mapping[str, Any], names: Collection[str]
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Return *body* without the parameters *names*, and those of them that asked for something."""
    held = [name for name in names if name in body]
    if not held:
        return body, ()
    dropped = (name for name in held if not is_neutral(body[name], PARAMETERS[name].neutral))
    return {name: value for name, value in body.items() if name not in held}, tuple(dropped)


def refuse(body: Mapping[str, Any]) -> None:
    """Raise ValidationError for the first parameter in *body* that this gateway cannot honour."""
    for name in asked(body, Kind.REFUSED):
        why = f"{name} is not supported by this gateway; leave it out. {PARAMETERS[name].meaning}"
        raise ValidationError(Coded(why, "unsupported_parameter"), name)
