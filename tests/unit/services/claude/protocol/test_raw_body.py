"""The body of a turn that brings its own: as it came, without anything of Claude Code's."""

import json
from typing import Any

import pytest

from wrapper.services.claude.protocol import frames
from wrapper.services.claude.protocol.initialize import last_round
from wrapper.services.claude.protocol.raw_body import body_of
from wrapper.services.turn import Turn

MESSAGES = [{"role": "user", "content": "Hi"}]
LEAST = {"model": "another", "max_tokens": 9, "messages": MESSAGES, "stream": True}
SENT = {"max_tokens": 9, "messages": MESSAGES}
NOTHING: dict[str, Any] = {"system": [], "tools": [], "metadata": {}}


def turn(model="claude-sonnet-4-5", mode="budget", **fields):
    return Turn(model, (), profile="plain", body={**LEAST, **fields}, thinking=mode)


def raw_body(turn):
    return body_of(turn, first_party=True)


@pytest.mark.parametrize(
    ("model", "thinking", "absent"),
    [
        ("claude-sonnet-4-5", "budget", {"thinking": {"type": "disabled"}}),
        ("claude-opus-4-7", "adaptive", {"thinking": {"type": "disabled"}}),
        ("claude-sonnet-5-5", "always", {"thinking": {"type": "adaptive"}}),
        ("claude-3-5-haiku-20241022", "budget", None),
    ],
)
def test_absent(model, thinking, absent):
    """Fields that are absent are written out, or Claude Code would send its own."""
    more = {} if absent is None else {**absent, "context_management": {"edits": []}}
    assert raw_body(turn(model, thinking)) == {**SENT, **NOTHING, **more}


def test_present():
    """Fields that are present stay as they are, except the model and the form of the answer."""
    fields = {
        "system": "Be brief.",
        "tools": [{"name": "f"}],
        "metadata": {"user_id": "u"},
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "context_management": {"edits": [{"type": "clear_thinking_20251015"}]},
        "temperature": 1,
    }
    assert raw_body(turn(**fields)) == {**SENT, **fields}


def test_clouds():
    """A cloud's API does not get a field that Claude Code does not send to it."""
    body = body_of(turn(), first_party=False)
    assert body == {**SENT, **NOTHING, "thinking": {"type": "disabled"}}


def flags(turn):
    return frames.settings(turn)[0]["request"]["settings"]


def test_settings():
    """Claude Code gets the body, the model that runs, and no limits of its own."""
    settings = flags(turn("claude-opus-4-7", "adaptive", system="ü"))
    assert settings["model"] == "claude-opus-4-7"
    body = json.loads(settings["env"]["CLAUDE_CODE_EXTRA_BODY"])
    assert not {"model", "stream"} & body.keys()
    assert body["system"] == "ü"
    assert settings["env"]["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == ""


def test_no_temperature():
    """Claude Code adds a temperature unless it believes that the model thinks."""
    assert frames.thinking_budget(turn(max_tokens=9)) == 1024


@pytest.mark.parametrize(
    ("config", "level"),
    [
        ({}, "high"),
        ({"effort": "low"}, "low"),
        ({"effort": "new"}, "high"),
        ({"effort": []}, "high"),
    ],
)
def test_effort(config, level):
    """Without an effort it is the API's default, and not Claude Code's."""
    assert flags(turn(output_config=config))["effortLevel"] == level


@pytest.mark.parametrize(("effort", "kept"), [("low", False), ("high", False), ("max", True)])
def test_effort_and_its_beta(effort, kept):
    """Claude Code writes an effort that it does not change itself, with the beta for it."""
    format_ = {"format": {"type": "json_schema"}}
    config = {"effort": effort} if kept else {}
    for rest in ({}, format_):
        body = raw_body(turn("claude-opus-4-7", output_config={"effort": effort, **rest}))
        assert body.get("output_config", {}) == {**config, **rest}


@pytest.mark.parametrize(
    "model",
    ["claude-sonnet-4-20250514", "claude-sonnet-4-5", "claude-haiku-4-5", "claude-opus-4-1"],
)
def test_effort_without_levels(model):
    """An effort reaches the API for models to which Claude Code would send none."""
    body = raw_body(turn(model, output_config={"effort": "low"}))
    assert body["output_config"] == {"effort": "low"}


def test_one_round():
    """A turn ends before Claude Code asks the model again: all tools are the client's."""
    assert last_round(turn()) == 1
