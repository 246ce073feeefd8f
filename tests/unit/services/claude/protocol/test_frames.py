"""Frames configure a process for a turn and send its messages."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrapper.services.claude.protocol import frames
from wrapper.services.turn import Message, Permissions, Sampling, ToolResult, Turn

USER = Message("user", ("Hi",))
EFFORTS = ["minimal", "low", "medium", "high", "xhigh", "max"]


def turn_of(*messages, system=None, profile="agent", **sampling):
    return Turn("sonnet", messages or (USER,), system, profile, Sampling(**sampling))


def settings_of(turn):
    return requests_of(turn)["apply_flag_settings"]["settings"]


def requests_of(turn):
    requests = [frame["request"] for frame in frames.configuration(turn, frames.settings(turn))]
    return {request["subtype"]: request for request in requests}


def test_control():
    """A control request has the id that its answer will have."""
    assert frames.control("a", {"subtype": "interrupt"}) == {
        "type": "control_request",
        "request_id": "a",
        "request": {"subtype": "interrupt"},
    }


def test_configuration():
    """A process gets prompt, settings and thinking budget in requests with their own ids."""
    configuration = frames.configuration(turn_of(), frames.settings(turn_of()))
    assert {frame["type"] for frame in configuration} == {"control_request"}
    assert len({frame["request_id"] for frame in configuration}) == 3
    assert [frame["request"]["subtype"] for frame in configuration] == [
        "initialize",
        "apply_flag_settings",
        "set_max_thinking_tokens",
    ]


def test_every_setting_is_sent():
    """Settings that a turn leaves open are sent as unset: otherwise they would stick."""
    assert settings_of(turn_of()) == {
        "model": "sonnet",
        "effortLevel": None,
        "env": {"CLAUDE_CODE_MAX_OUTPUT_TOKENS": "", "CLAUDE_CODE_EXTRA_BODY": ""},
        "permissions": {"allow": [], "deny": []},
    }
    assert requests_of(turn_of())["set_max_thinking_tokens"]["max_thinking_tokens"] is None


def test_settings():
    """The settings hold the turn's model, limit and sampling parameters."""
    settings = settings_of(turn_of(max_tokens=9, temperature=0.0, top_p=0.5, stop=("a",)))
    assert settings["model"] == "sonnet"
    assert settings["env"]["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == "9"
    assert json.loads(settings["env"]["CLAUDE_CODE_EXTRA_BODY"]) == {
        "temperature": 0.0,
        "top_p": 0.5,
        "stop_sequences": ["a"],
    }


@pytest.mark.parametrize(
    ("effort", "level"),
    [
        (None, None),
        ("none", None),
        ("minimal", "low"),
        ("low", "low"),
        ("medium", "medium"),
        ("high", "high"),
        ("xhigh", "xhigh"),
        ("max", "max"),
    ],
)
def test_effort(effort, level):
    """Each reasoning effort becomes Claude Code's level for it."""
    assert settings_of(turn_of(effort=effort))["effortLevel"] == level


@pytest.mark.parametrize(
    ("sampling", "body"),
    [
        ({}, {}),
        ({"temperature": 0.0}, {"temperature": 0.0}),
        ({"top_p": 0.0}, {"top_p": 0.0}),
        ({"stop": (" ", "\n")}, {}),
        ({"stop": (" ", "a ", "\n")}, {"stop_sequences": ["a "]}),
        ({"max_tokens": 5, "effort": "high"}, {}),
    ],
)
def test_extra_body(sampling, body):
    """The extra body holds what the turn sets, without stop sequences of white space."""
    assert frames.extra_body(turn_of(**sampling)) == body


@pytest.mark.parametrize(
    ("turn", "budget"),
    [
        (turn_of(), None),
        (turn_of(profile="plain"), 0),
        (turn_of(effort="none"), 0),
        (turn_of(effort="minimal"), 1024),
        (turn_of(effort="low", profile="plain"), 4096),
        (turn_of(effort="max"), 31_999),
        (turn_of(effort="high", max_tokens=1024), 0),
        (turn_of(effort="high", max_tokens=1025), 1024),
        (turn_of(effort="high", max_tokens=10_000), 5000),
        (turn_of(effort="high", max_tokens=100_000), 20_000),
        (turn_of(temperature=0.0), 0),
        (turn_of(top_p=0.0), 0),
        (turn_of(max_tokens=100), 0),
    ],
)
def test_thinking_budget(turn, budget):
    """The thinking budget follows the effort, and leaves room for the answer."""
    assert frames.thinking_budget(turn) == budget


@given(st.sampled_from(EFFORTS), st.none() | st.integers(1, 200_000), st.booleans())
def test_valid_budgets(effort, limit, sampled):
    """Every budget is one that the model's API accepts."""
    turn = turn_of(effort=effort, max_tokens=limit, temperature=0.5 if sampled else None)
    budget = frames.thinking_budget(turn)
    assert budget == 0 or (budget in range(1024, limit or 32_000) and not sampled)


@given(st.none() | st.integers(1025, 200_000))
def test_more_effort_thinks_no_less(limit):
    """A higher effort never has a smaller budget than a lower one."""
    budgets = [frames.thinking_budget(turn_of(effort=e, max_tokens=limit)) or 0 for e in EFFORTS]
    assert budgets == sorted(budgets)


def test_prompt():
    """A message is sent verbatim, part by part, marked so that Claude Code runs nothing in it."""
    frame = frames.prompt(turn_of(USER, Message("user", ("@/etc/passwd", "/cost"))))
    assert frame["type"] == "user"
    assert frame["client_composed"] is True
    assert frame["message"] == {
        "role": "user",
        "content": [
            {"type": "text", "text": "@/etc/passwd"},
            {"type": "text", "text": "/cost"},
        ],
    }


def test_plain_conversation():
    """In the plain profile the whole conversation is in the body, and none on stdin."""
    messages = (Message("user", ("@/etc/passwd",)), Message("assistant", ("b",)), USER)
    turn = turn_of(*messages, profile="plain")
    assert frames.extra_body(turn)["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "@/etc/passwd"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "b"}]},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}],
        },
    ]
    assert "passwd" not in json.dumps(frames.prompt(turn))


def test_permissions():
    """The settings hold the permission rules that allow and those that deny."""
    permissions = Permissions(allow=("Bash(ls:*)",), deny=("Write", "Bash(rm:*)"))
    turn = Turn("sonnet", (USER,), permissions=permissions)
    assert settings_of(turn)["permissions"] == {
        "allow": ["Bash(ls:*)"],
        "deny": ["Write", "Bash(rm:*)"],
    }


def test_directory_and_mode():
    """A directory and a mode other than the process's own are sent before the settings."""
    turn = Turn("sonnet", (USER,), permissions=Permissions(mode="plan"))
    requests = [
        frame["request"]
        for frame in frames.configuration(turn, frames.settings(turn), "/srv/alice")
    ]
    assert requests[1] == {
        "subtype": "set_cwd",
        "path": "/srv/alice",
        "trust_accepted": True,
        "trusted_directory": "/srv/alice",
    }
    assert requests[2] == {"subtype": "set_permission_mode", "mode": "plan"}


def test_reconfiguration():
    """A process with earlier turns gets the settings that change, and always its mode."""
    turn = turn_of()
    requests = [
        frame["request"]
        for frame in frames.reconfiguration(turn, frames.settings(turn), "default", ())
    ]
    assert requests[0] == {"subtype": "set_permission_mode", "mode": "default"}
    assert requests[1:] == [
        frame["request"] for frame in frames.configuration(turn, frames.settings(turn))[1:]
    ]
    assert "initialize" not in {request["subtype"] for request in requests}
    current = frames.settings(turn)
    assert len(frames.reconfiguration(turn, frames.settings(turn), "default", current)) == 1
    other = replace(turn, model="opus")
    (_, changed) = frames.reconfiguration(other, frames.settings(other), "default", current)
    assert changed["request"]["settings"]["model"] == "opus"


RESULT = ToolResult("c", ("a cat",))


@pytest.mark.parametrize(
    ("parts", "ends"), [((RESULT,), True), ((RESULT, "b"), False), (("b",), False)]
)
def test_text_after_results(parts, ends):
    """A text follows a result that is the last part."""
    content = frames.user_input(Message("user", parts))["message"]["content"]
    assert (content[-1] == frames.RESULTS_END) == ends
    assert len(content) == len(parts) + ends
