"""Parameters of Anthropic's Messages API in a chat request."""

import pytest

from tests.support.scripted_server import USER, ScriptedServer, error_of
from wrapper.schemas.chat.anthropic import BUDGETS
from wrapper.services.claude.protocol.frames import THINKING

IGNORED = "x-ignored-params"
MARK = {"cache_control": {"type": "ephemeral"}}
OLD = "claude-sonnet-4-20250514"


def turn_of(**body):
    """Return the turn of a request, and the names of its ignored parameters."""
    server = ScriptedServer()
    response = server.ask(**body)
    assert response.status_code == 200, response.text
    return server.engine.turns[0], response.headers.get(IGNORED)


@pytest.mark.parametrize(
    ("thinking", "effort"),
    [
        ({"type": "disabled"}, "none"),
        ({"type": "adaptive"}, "medium"),
        ({"type": "enabled"}, "medium"),
        ({"type": "enabled", "budget_tokens": 1024}, "minimal"),
        ({"type": "enabled", "budget_tokens": 1025}, "low"),
        ({"type": "enabled", "budget_tokens": 16_000}, "high"),
        ({"type": "enabled", "budget_tokens": 60_000}, "xhigh"),
    ],
)
def test_thinking(thinking, effort):
    """`thinking` becomes the lowest effort whose budget covers budget_tokens."""
    turn, ignored = turn_of(model=OLD, thinking=thinking)
    assert (turn.sampling.effort, ignored) == (effort, None)


def test_budgets():
    """The documented budgets are those that Claude Code gets for each effort."""
    assert {effort: THINKING[effort] for effort in BUDGETS} == BUDGETS


@pytest.mark.parametrize(
    ("beside", "effort"), [({"reasoning_effort": "low"}, "low"), ({"temperature": 0.5}, None)]
)
def test_thinking_beside_others(beside, effort):
    """`thinking` is ignored, and named, beside reasoning_effort or sampling."""
    turn, ignored = turn_of(model=OLD, thinking={"type": "enabled"}, **beside)
    assert (turn.sampling.effort, ignored) == (effort, "thinking")


def test_thinking_that_cannot_be_turned_off():
    """If the model always thinks, disabling it is named, or refused under STRICT_PARAMS."""
    body = {"model": "claude-opus-5-5", "thinking": {"type": "disabled"}}
    assert turn_of(**body)[1] == "thinking"
    assert error_of(ScriptedServer(strict_params=True).ask(**body), 400)["param"] == "thinking"


@pytest.mark.parametrize(
    ("system", "text"),
    [
        ("A", "A"),
        ([{"type": "text", "text": "A", **MARK}, {"type": "text", "text": "B"}], "A\n\nB"),
    ],
)
def test_system(system, text):
    """`system` is the system prompt, and precedes the system messages."""
    assert turn_of(system=system)[0].system == text
    messages = [{"role": "system", "content": "C"}, USER]
    assert turn_of(system=system, messages=messages)[0].system == f"{text}\n\nC"


def test_paths_beside_system():
    """With `system`, the paths of messages still count them as the client sent them."""
    server = ScriptedServer()
    response = server.ask(system="A", messages=[USER, {"role": "assistant", "content": "a"}])
    assert response.headers["x-adapted-messages"] == "messages.1.role"
    pair = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]
    assert error_of(server.ask(system="A", messages=pair), 400)["param"].startswith("messages.0.")


def test_system_of_a_session():
    """A session stores `system`, and its next turn uses it."""
    server = ScriptedServer()
    server.ask(session_id="s", system="A")
    server.ask(session_id="s")
    assert [turn.system for turn in server.engine.turns] == ["A", "A"]


def test_stop_sequences():
    """`stop_sequences` end the answer like `stop`, and can stand beside it."""
    turn, ignored = turn_of(stop="a", stop_sequences=["b", "c"])
    assert (turn.sampling.stop, ignored) == (("a", "b", "c"), None)


@pytest.mark.parametrize(
    "body",
    [
        MARK,
        {"messages": [{**USER, **MARK}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a", **MARK}]}]},
        {"tools": [{"type": "function", "function": {"name": "f"}, **MARK}]},
        {"tools": [{"name": "f", "input_schema": {}, **MARK}]},
        {"system": [{"type": "text", "text": "a", **MARK}]},
        {**MARK, "messages": [{**USER, **MARK}]},
    ],
)
def test_cache_marks(body):
    """A cache mark has no effect at any level, and is named once."""
    assert turn_of(**body)[1] == "cache_control"
    error = error_of(ScriptedServer(strict_params=True).ask(**body), 400)
    assert (error["param"], error["code"]) == ("cache_control", "unsupported_parameter")
    ignoring = ScriptedServer(strict_params=True, ignore_params=("cache_control",)).ask(**body)
    assert (ignoring.status_code, ignoring.headers[IGNORED]) == (200, "cache_control")


def test_null_marks():
    """A null cache mark is not named."""
    assert turn_of(messages=[{**USER, "cache_control": None}])[1] is None
