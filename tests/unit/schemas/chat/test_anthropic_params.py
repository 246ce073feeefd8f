"""Parameters of Anthropic's API in a chat request: they work as they do there, or are named."""

import pytest

from tests.support.scripted_server import USER, ScriptedServer, error_of
from wrapper.schemas.chat.anthropic import BUDGETS
from wrapper.services.claude.protocol.frames import THINKING

IGNORED = "x-ignored-params"
MARK = {"cache_control": {"type": "ephemeral"}}
OLD = "claude-sonnet-4-20250514"


def turn_of(**body):
    """Return the turn that a request becomes, and the names of what had no effect."""
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
    """Thinking is an effort, whose budget is at least the one that is asked for."""
    turn, ignored = turn_of(model=OLD, thinking=thinking)
    assert (turn.sampling.effort, ignored) == (effort, None)


def test_budgets():
    """The budgets that are documented are those that an effort gets."""
    assert {effort: THINKING[effort] for effort in BUDGETS} == BUDGETS


@pytest.mark.parametrize(
    ("beside", "effort"), [({"reasoning_effort": "low"}, "low"), ({"temperature": 0.5}, None)]
)
def test_thinking_beside_others(beside, effort):
    """OpenAI's parameter wins over it, and so does sampling; then it is named."""
    turn, ignored = turn_of(model=OLD, thinking={"type": "enabled"}, **beside)
    assert (turn.sampling.effort, ignored) == (effort, "thinking")


def test_thinking_that_the_model_cannot_turn_off():
    """Where a model cannot do it, thinking is named by its own name, or under strict refused."""
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
    """The parameter is the system prompt, before what system messages say."""
    assert turn_of(system=system)[0].system == text
    said = [{"role": "system", "content": "C"}, USER]
    assert turn_of(system=system, messages=said)[0].system == f"{text}\n\nC"


def test_places_beside_system():
    """Messages are counted as the client has sent them, with a system prompt beside them, too."""
    server = ScriptedServer()
    response = server.ask(system="A", messages=[USER, {"role": "assistant", "content": "a"}])
    assert response.headers["x-adapted-messages"] == "messages.1.role"
    pair = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]
    assert error_of(server.ask(system="A", messages=pair), 400)["param"].startswith("messages.0.")


def test_system_of_a_session():
    """A session remembers it, and an attempt that is repeated finds it."""
    server = ScriptedServer()
    server.ask(session_id="s", system="A")
    server.ask(session_id="s")
    assert [turn.system for turn in server.engine.turns] == ["A", "A"]


def test_stop_sequences():
    """They end the answer like stop, and beside it."""
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
def test_marks_for_the_cache(body):
    """A mark for the cache has no effect wherever it stands, and is named once."""
    assert turn_of(**body)[1] == "cache_control"
    error = error_of(ScriptedServer(strict_params=True).ask(**body), 400)
    assert (error["param"], error["code"]) == ("cache_control", "unsupported_parameter")
    ignoring = ScriptedServer(strict_params=True, ignore_params=("cache_control",)).ask(**body)
    assert (ignoring.status_code, ignoring.headers[IGNORED]) == (200, "cache_control")


def test_empty_marks():
    """A mark that is null asks for nothing."""
    assert turn_of(messages=[{**USER, "cache_control": None}])[1] is None
