"""The names and values of OpenTelemetry's semantic conventions for generative AI, as of 0.1.0.

What the conventions have no name for begins with `claude_gateway`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wrapper.services.events import Acquisition, Ending, Started, ToolUsed
from wrapper.services.spent import Usage
from wrapper.services.turn import Turn

Attributes = dict[str, Any]

OWN = "claude_gateway"
OUTCOME = f"{OWN}.outcome"
ERROR = "error.type"
AGENT = "claude-code"
# Names that models and MCP servers choose.
LONGEST_NAME = 128

FINISH_REASONS = {
    Ending.DONE: "stop",
    Ending.LENGTH: "length",
    Ending.REFUSED: "content_filter",
    Ending.CALLS: "tool_call",
}
# By Claude Code's variables that choose a provider. Vertex and Bedrock have names of their own.
PROVIDERS = {
    "CLAUDE_CODE_USE_BEDROCK": "aws.bedrock",
    "CLAUDE_CODE_USE_VERTEX": "gcp.vertex_ai",
}


def provider_of(environment: Mapping[str, str]) -> str:
    """Return the conventions' name of the provider that Claude Code asks."""
    off = ("", "0", "false", "no", "off")
    names = (
        provider
        for name, provider in PROVIDERS.items()
        if environment.get(name, "").strip().lower() not in off
    )
    return next(names, "anthropic")


def operation_of(turn: Turn) -> str:
    """Return the operation: an agent that is invoked, or a model that is asked."""
    return "invoke_agent" if turn.profile == "agent" else "chat"


def turn_name(turn: Turn) -> str:
    """Return the name of a turn's span."""
    operation = operation_of(turn)
    return f"{operation} {AGENT if operation == 'invoke_agent' else turn.model}"


def turn_attributes(turn: Turn, provider: str, *, stream: bool) -> Attributes:
    """Return what is known of *turn* when it begins."""
    sampling, session = turn.sampling, turn.session
    attributes: Attributes = {
        "gen_ai.operation.name": operation_of(turn),
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": turn.model,
        "gen_ai.request.stream": stream,
        "gen_ai.request.max_tokens": sampling.max_tokens,
        "gen_ai.request.temperature": sampling.temperature,
        "gen_ai.request.top_p": sampling.top_p,
        "gen_ai.request.reasoning.level": sampling.effort,
        "gen_ai.conversation.id": session.id if session else None,
        "gen_ai.output.type": "json" if turn.output_schema else None,
        "gen_ai.agent.name": AGENT if turn.profile == "agent" else None,
    }
    return known(attributes)


def usage_attributes(usage: Usage, cost_usd: float | None) -> Attributes:
    """Return what a turn used. The tokens of the prompt include cached ones."""
    attributes = {
        "gen_ai.usage.input_tokens": usage.prompt,
        "gen_ai.usage.output_tokens": usage.output,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read,
        "gen_ai.usage.cache_write.input_tokens": usage.cache_creation,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning,
        f"{OWN}.cost_usd": cost_usd,
    }
    return known(attributes)


def answer_attributes(started: Started | None, ending: Ending | None) -> Attributes:
    """Return which model answered, and why it stopped."""
    attributes: Attributes = {}
    if started:
        attributes["gen_ai.response.model"] = started.model
        attributes[f"{OWN}.session.resumed"] = started.resumed
    if ending in FINISH_REASONS:
        attributes["gen_ai.response.finish_reasons"] = [FINISH_REASONS[ending]]
    return attributes


def lease_attributes(acquisition: Acquisition) -> Attributes:
    """Return how a turn got its process."""
    return {
        f"{OWN}.lease.source": acquisition.source,
        f"{OWN}.lease.configure_seconds": acquisition.configure,
    }


def tool_name(used: ToolUsed) -> str:
    """Return the name of the tool that was *used*; that of an unknown tool is the model's."""
    return used.name[:LONGEST_NAME] or "_OTHER"


def tool_attributes(used: ToolUsed) -> Attributes:
    """Return which tool was *used*, and how that ended."""
    attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": tool_name(used),
        "gen_ai.tool.type": "extension",
        "gen_ai.tool.call.id": used.id[:LONGEST_NAME] or None,
        OUTCOME: used.outcome,
        ERROR: None if used.outcome == "done" else used.outcome,
    }
    return known(attributes)


def known(attributes: Attributes) -> Attributes:
    """Return those *attributes* that have a value."""
    return {name: value for name, value in attributes.items() if value is not None}
