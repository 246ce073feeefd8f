"""The `initialize` request gives a process its prompt, hooks, functions and answer schema."""

from dataclasses import replace

import pytest

from wrapper.services.claude.protocol.initialize import (
    AFTER_TOOLS,
    early_initialize_request,
    initialize_request,
    last_round,
    late_prompt,
)
from wrapper.services.turn import Function, Message, OutputSchema, Permissions, Turn

USER = Message("user", ("Hi",))
AGENT = Turn("sonnet", (USER,))
PLAIN = replace(AGENT, profile="plain")
FUNCTION = Function("f", {"type": "object"})
SCHEMA = OutputSchema("s", {"type": "object"})


@pytest.mark.parametrize(
    ("system", "profile", "sent"),
    [
        (None, "agent", {}),
        (None, "plain", {"systemPrompt": []}),
        ("Be brief.", "agent", {"systemPrompt": ["Be brief."]}),
        ("Be brief.", "plain", {"systemPrompt": ["Be brief."]}),
        ("", "agent", {"systemPrompt": []}),
        ("", "plain", {"systemPrompt": []}),
    ],
)
def test_system_prompt(system, profile, sent):
    """The caller's system prompt replaces Claude Code's, even if it is blank."""
    request = initialize_request(replace(AGENT, system=system, profile=profile))
    assert request == {"subtype": "initialize", **sent}


def test_appended_system_prompt():
    """A system prompt can be appended to an agent's own; plain has none to append to."""
    agent, plain = (
        initialize_request(replace(turn, system="Be brief.", appends=True))
        for turn in (AGENT, PLAIN)
    )
    assert agent["appendSystemPrompt"] == "Be brief."
    assert "systemPrompt" not in agent
    assert plain["systemPrompt"] == ["Be brief."]


@pytest.mark.parametrize("limit", [None, 1, 5])
def test_tool_rounds_are_reported(limit):
    """The process reports each tool round, but only if the turn limits them."""
    turn = replace(AGENT, permissions=Permissions(max_turns=limit))
    assert initialize_request(turn).get("hooks") == (limit and AFTER_TOOLS)
    assert AFTER_TOOLS == {"PostToolBatch": [{"hookCallbackIds": ["hook_0"]}]}


@pytest.mark.parametrize(
    ("turn", "rounds"),
    [
        (PLAIN, None),
        (replace(PLAIN, functions=(FUNCTION,)), 1),
        (replace(PLAIN, output_schema=SCHEMA), 1),
        (replace(AGENT, functions=(FUNCTION,)), None),
        (replace(AGENT, permissions=Permissions(max_turns=3)), 3),
    ],
)
def test_last_round(turn, rounds):
    """A plain turn with tools ends after one round, an agent's after its own limit."""
    assert last_round(turn) == rounds


def test_functions_and_schema_of_an_agent():
    """Claude Code gets an agent's functions and schema; plain turns have them in the body."""
    agent, plain = (
        initialize_request(replace(turn, functions=(FUNCTION,), output_schema=SCHEMA))
        for turn in (AGENT, PLAIN)
    )
    assert (agent["sdkMcpServers"], agent["jsonSchema"]) == (["client"], {"type": "object"})
    assert set(plain) == {"subtype", "systemPrompt", "hooks"}


def test_late_prompt():
    """A process initialized without its turn gets the system prompt later, with the model."""
    assert early_initialize_request()["systemPrompt"] == []
    assert late_prompt(PLAIN) is None
    late = late_prompt(replace(PLAIN, system="Be brief."))
    assert late is not None
    assert (late["system_prompt"], late["model"]) == ("Be brief.", "sonnet")
    assert late["only_if_model_is_current"] is True
