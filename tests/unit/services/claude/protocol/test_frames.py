"""The frames: what configures a process for a turn, and what asks it."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from wrapper.services.claude.protocol import frames
from wrapper.services.turn import Message, Permissions, Sampling, Turn

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
    """A control request bears the id that its answer will bear."""
    assert frames.control("a", {"subtype": "interrupt"}) == {
        "type": "control_request",
        "request_id": "a",
        "request": {"subtype": "interrupt"},
    }


def test_configuration():
    """A process is told prompt, settings and thinking, each in a request with its own id."""
    configuration = frames.configuration(turn_of(), frames.settings(turn_of()))
    assert {frame["type"] for frame in configuration} == {"control_request"}
    assert len({frame["request_id"] for frame in configuration}) == 3
    assert [frame["request"]["subtype"] for frame in configuration] == [
        "initialize",
        "apply_flag_settings",
        "set_max_thinking_tokens",
    ]


def test_everything_is_said():
    """Settings that a turn leaves open are unset, not passed over: they would stick."""
    assert settings_of(turn_of()) == {
        "model": "sonnet",
        "effortLevel": None,
        "env": {"CLAUDE_CODE_MAX_OUTPUT_TOKENS": "", "CLAUDE_CODE_EXTRA_BODY": ""},
        "permissions": {"allow": [], "deny": []},
    }
    assert requests_of(turn_of())["set_max_thinking_tokens"]["max_thinking_tokens"] is None


def test_settings():
    """The turn's model, limit and sampling reach the settings."""
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
    """Each reasoning effort becomes the level that Claude Code has for it."""
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
    """Only what is asked for is merged into the upstream body, and no blank stop text."""
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
    """Thinking gets what its effort asks for, as far as the answer leaves room."""
    assert frames.thinking_budget(turn) == budget


@hypothesis_settings(deadline=None)
@given(st.sampled_from(EFFORTS), st.none() | st.integers(1, 200_000), st.booleans())
def test_valid_budgets(effort, limit, sampled):
    """Whatever is asked for, the budget is one that the model's API takes."""
    turn = turn_of(effort=effort, max_tokens=limit, temperature=0.5 if sampled else None)
    budget = frames.thinking_budget(turn)
    assert budget == 0 or (budget in range(1024, limit or 32_000) and not sampled)


@hypothesis_settings(deadline=None)
@given(st.none() | st.integers(1025, 200_000))
def test_more_effort_thinks_no_less(limit):
    """A higher effort never thinks less than a lower one."""
    budgets = [frames.thinking_budget(turn_of(effort=e, max_tokens=limit)) or 0 for e in EFFORTS]
    assert budgets == sorted(budgets)


@pytest.mark.parametrize(
    ("system", "profile", "said"),
    [
        (None, "agent", {}),
        (None, "plain", {"systemPrompt": []}),
        ("Be brief.", "agent", {"systemPrompt": ["Be brief."]}),
        ("Be brief.", "plain", {"systemPrompt": ["Be brief."]}),
        ("", "agent", {"systemPrompt": []}),
        ("", "plain", {"systemPrompt": []}),
    ],
)
def test_system_prompt(system, profile, said):
    """The caller's system prompt takes the place of Claude Code's, also when it is blank."""
    request = requests_of(turn_of(system=system, profile=profile))["initialize"]
    assert request == {"subtype": "initialize", **said}


def test_prompt():
    """A message is sent verbatim, part by part, and marked so that nothing in it is run."""
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


def test_history():
    """What was said before is told in its true roles, without asking the model again."""
    earlier = [Message("user", ("a",)), Message("assistant", ("b",)), Message("user", ("c",))]
    told = list(frames.history(turn_of(*earlier, Message("assistant", ("d",)), USER)))
    assert [answered for _, answered in told] == [True, False, True, False]
    assert [frame["message"]["role"] for frame, _ in told] == ["user", "assistant"] * 2
    assert [frame["message"]["content"][0]["text"] for frame, _ in told] == list("abcd")
    for frame, answered in told:
        assert frame.get("shouldQuery") is (False if answered else None)
        assert frame.get("client_composed") is (True if answered else None)
    ids = [frame["message"]["id"] for frame, answered in told if not answered]
    assert len(set(ids)) == 2


def test_plain_conversation():
    """In the plain profile the whole conversation stands in the body, and nothing on stdin."""
    said = (Message("user", ("@/etc/passwd",)), Message("assistant", ("b",)), USER)
    turn = turn_of(*said, profile="plain")
    assert frames.extra_body(turn)["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "@/etc/passwd"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "b"}]},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}],
        },
    ]
    assert list(frames.history(turn)) == []
    assert "passwd" not in json.dumps(frames.prompt(turn))


def test_no_history():
    """The message to be answered is no part of the history."""
    assert list(frames.history(turn_of())) == []


def test_appended_system_prompt():
    """A system prompt can follow an agent's own; without one of its own there is none to follow."""
    told = [
        requests_of(Turn("sonnet", (USER,), "Be brief.", profile, appends=True))["initialize"]
        for profile in ("agent", "plain")
    ]
    assert told[0]["appendSystemPrompt"] == "Be brief."
    assert "systemPrompt" not in told[0]
    assert told[1]["systemPrompt"] == ["Be brief."]


def test_permissions():
    """What tools may do is said with the settings, rules that allow and rules that deny."""
    permissions = Permissions(allow=("Bash(ls:*)",), deny=("Write", "Bash(rm:*)"))
    turn = Turn("sonnet", (USER,), permissions=permissions)
    assert settings_of(turn)["permissions"] == {
        "allow": ["Bash(ls:*)"],
        "deny": ["Write", "Bash(rm:*)"],
    }


def test_place_and_mode():
    """Directory and mode are said before the settings, where they are not the process's own."""
    turn = Turn("sonnet", (USER,), permissions=Permissions(mode="plan"))
    told = [
        frame["request"]
        for frame in frames.configuration(turn, frames.settings(turn), "/srv/alice")
    ]
    assert told[1] == {
        "subtype": "set_cwd",
        "path": "/srv/alice",
        "trust_accepted": True,
        "trusted_directory": "/srv/alice",
    }
    assert told[2] == {"subtype": "set_permission_mode", "mode": "plan"}


def test_settings_of_a_process_that_goes_on():
    """A process that goes on is told what is different now, and its permission mode always."""
    turn = turn_of()
    told = [
        frame["request"]
        for frame in frames.reconfiguration(turn, frames.settings(turn), "default", ())
    ]
    assert told[0] == {"subtype": "set_permission_mode", "mode": "default"}
    assert told[1:] == [
        frame["request"] for frame in frames.configuration(turn, frames.settings(turn))[1:]
    ]
    assert "initialize" not in {request["subtype"] for request in told}
    settled = frames.settings(turn)
    assert len(frames.reconfiguration(turn, frames.settings(turn), "default", settled)) == 1
    other = replace(turn, model="opus")
    (_, changed) = frames.reconfiguration(other, frames.settings(other), "default", settled)
    assert changed["request"]["settings"]["model"] == "opus"


def test_history_that_is_known():
    """What a process knows is not told again; the message to be answered is no history."""
    earlier = [Message("user", ("a",)), Message("assistant", ("b",)), Message("user", ("c",))]
    said = [*earlier, Message("assistant", ("d",))]
    turn = turn_of(*said, USER)
    for known in range(len(said) + 1):
        told = [frame["message"]["content"][0]["text"] for frame, _ in frames.history(turn, known)]
        assert told == list("abcd")[known:]


@pytest.mark.parametrize("limit", [None, 1, 5])
def test_rounds_are_counted_where_they_are_limited(limit):
    """The process tells of each round of tool use, but only where somebody counts."""
    turn = Turn("sonnet", (USER,), permissions=Permissions(max_turns=limit))
    hooks = requests_of(turn)["initialize"].get("hooks")
    assert hooks == (limit and {"PostToolBatch": [{"hookCallbackIds": ["hook_0"]}]})
