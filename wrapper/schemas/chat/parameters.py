"""The table of every parameter that OpenAI documents for chat completions, and its treatment here.

It includes some parameters of Anthropic's Messages API, since clients send those too.
Validation, the header x-ignored-params, the OpenAPI document and docs/ all read this table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from marshmallow import ValidationError

from wrapper.schemas.base import CodedMessage, is_neutral


class Kind(Enum):
    """How the gateway treats a parameter that is not neutral."""

    HONOURED = "honoured"
    REFUSED = "refused"
    IGNORED = "without effect"


@dataclass(frozen=True)
class Parameter:
    """A parameter's kind and meaning, and the neutral values that, like null, ask for nothing."""

    kind: Kind
    meaning: str
    neutral: tuple[Any, ...] = ()

    @property
    def description(self) -> str:
        """Return the description for the OpenAPI document."""
        if self.kind is Kind.IGNORED:
            return f"Validated, but without effect. {self.meaning}"
        return self.meaning


def _honoured(meaning: str, *neutral: Any) -> Parameter:
    return Parameter(Kind.HONOURED, meaning, neutral)


def _refused(meaning: str, *neutral: Any) -> Parameter:
    return Parameter(Kind.REFUSED, meaning, neutral)


def _ignored(meaning: str, *neutral: Any) -> Parameter:
    return Parameter(Kind.IGNORED, meaning, neutral)


_NO_EQUIVALENT = "Claude has no equivalent."
_CACHING = "Claude Code manages the cache itself."

PARAMETERS: dict[str, Parameter] = {
    "model": _honoured("One of /models."),
    "messages": _honoured(
        "Every role and form of OpenAI's API. Messages that the model's API does not accept are "
        "sent in another form, which x-adapted-messages names."
    ),
    "stream": _honoured("Whether the answer is sent as server-sent events.", False),
    "stream_options": _honoured("Only with stream; include_usage."),
    "max_tokens": _honoured(
        "The most tokens of an answer; max_completion_tokens takes precedence. A value above the "
        "model's maximum is reduced to it and named in x-clamped-params."
    ),
    "max_completion_tokens": _honoured("The most tokens of an answer, including thinking."),
    "temperature": _honoured(
        "0 to 2. A value above 1, the model's maximum and default, is sent as 1 and named in "
        "x-clamped-params. Without effect on models that do not support it.",
        1,
    ),
    "top_p": _honoured("0 to 1. Without effect on models that do not support it.", 1),
    "stop": _honoured("A stop sequence, or up to four.", []),
    "n": _honoured(
        "The number of answers, up to 8 and MAX_CONCURRENT_TURNS; each is a separate turn.", 1
    ),
    "reasoning_effort": _honoured(
        "A value other than none excludes a temperature or top_p below 1. Without effect on "
        "models that do not think; none has no effect on models that always do."
    ),
    "claude": _honoured("Options of Claude Code."),
    "session_id": _honoured(
        "A name for the conversation, which the gateway then remembers: send only new messages."
    ),
    "tools": _honoured("The client's functions, up to 128.", []),
    "tool_choice": _honoured("Which tools the model may or must call.", "none", "auto"),
    "parallel_tool_calls": _honoured("Whether one answer may contain several calls.", True),
    "functions": _honoured("The older form of tools.", []),
    "function_call": _honoured("The older form of tool_choice.", "none", "auto"),
    "response_format": _honoured(
        "text, json_object, or json_schema; the answer is checked against the schema.",
        {"type": "text"},
    ),
    "system": _honoured(
        "The system prompt in Anthropic's form, a text or text blocks. It precedes the system "
        "messages.",
        "",
        [],
    ),
    "thinking": _honoured(
        "Anthropic's parameter: disabled means the reasoning_effort none, adaptive means medium, "
        "and enabled the lowest effort whose budget covers budget_tokens (minimal 1024, low 4096, "
        "medium 10,000, high 20,000, else xhigh; without budget_tokens medium). Without effect "
        "beside reasoning_effort and, unless disabled, beside a temperature or top_p below 1."
    ),
    "stop_sequences": _honoured("Anthropic's name for stop; both may be given.", []),
    "logprobs": _refused("Claude does not report probabilities.", False),
    "top_logprobs": _refused("Claude does not report probabilities.", 0),
    "logit_bias": _refused("Claude's tokens are not OpenAI's.", {}),
    "modalities": _refused("Answers are text.", ["text"]),
    "audio": _refused("Answers are text."),
    "web_search_options": _refused("The agent profile searches on its own."),
    "presence_penalty": _ignored(_NO_EQUIVALENT, 0),
    "frequency_penalty": _ignored(_NO_EQUIVALENT, 0),
    "seed": _ignored(_NO_EQUIVALENT),
    "verbosity": _ignored("Ask for it in a system message.", "medium"),
    "prediction": _ignored(_NO_EQUIVALENT),
    "user": _ignored("Claude Code sends its own user id upstream."),
    "safety_identifier": _ignored("Claude Code sends its own user id upstream."),
    "metadata": _ignored("The gateway stores nothing under it.", {}),
    "store": _ignored("The gateway stores no answers.", False),
    "service_tier": _ignored("The answer's service_tier is always default.", "auto", "default"),
    "prompt_cache_key": _ignored(_CACHING),
    "prompt_cache_options": _ignored(_CACHING, {}),
    "prompt_cache_retention": _ignored(_CACHING),
    "moderation": _ignored("Answers that the model's provider refuses end with content_filter."),
    "top_k": _ignored("Claude Code does not send it.", 0, -1),
    "cache_control": _ignored(f"{_CACHING} Also in messages, parts, and tools.", {}),
}


def parameters_of(kind: Kind) -> dict[str, Parameter]:
    """Return the parameters of *kind*, by name."""
    return {name: row for name, row in PARAMETERS.items() if row.kind is kind}


_BY_KIND = {kind: parameters_of(kind) for kind in Kind}


def used_parameters(body: Mapping[str, Any], kind: Kind) -> Iterator[str]:
    """Yield the parameters of *kind* that the request *body* sets to other than neutral values."""
    for name, parameter in _BY_KIND[kind].items():
        if name in body and not is_neutral(body[name], parameter.neutral):
            yield name


def drop_parameters(
    body: Mapping[str, Any], names: Collection[str]
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Return *body* without the parameters *names*, and those dropped that were not neutral."""
    present = [name for name in names if name in body]
    if not present:
        return body, ()
    dropped = (name for name in present if not is_neutral(body[name], PARAMETERS[name].neutral))
    return {name: value for name, value in body.items() if name not in present}, tuple(dropped)


def refuse_unsupported(body: Mapping[str, Any]) -> None:
    """Raise ValidationError for the first parameter in *body* that the gateway cannot honour."""
    for name in used_parameters(body, Kind.REFUSED):
        message = (
            f"{name} is not supported by this gateway; leave it out. {PARAMETERS[name].meaning}"
        )
        raise ValidationError(CodedMessage(message, "unsupported_parameter"), name)
