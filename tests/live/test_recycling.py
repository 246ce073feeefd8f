"""Processes serve further turns: of their own conversation, or of others if that is allowed."""

from __future__ import annotations

import os
import signal
import uuid
from typing import Any

import pytest

from tests.support.keyed_gateway import KeyedGateway
from tests.support.server import eventually
from tests.support.session_client import last_process, model_input, reminders

pytestmark = pytest.mark.clis
PROFILES = ("plain", "agent")
SECRET = "swordfish"
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
SHAPE = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
POOLS = {"POOL_SIZE": "1", "POOL_SIZE_OTHER": "1", "LOG_LEVEL": "debug"}


@pytest.fixture(scope="module")
def fresh(_servers):
    return _servers(**POOLS, MAX_PARKED="0").wait()


@pytest.fixture(scope="module")
def parking(_servers):
    return _servers(**POOLS, POOL_RECYCLE="false").wait()


@pytest.fixture(scope="module")
def _recycling(_servers):
    return _servers(**POOLS, POOL_RECYCLE="", POOL_REHEARSE="true").wait()


@pytest.fixture
def recycling(_recycling, upstream):
    """A gateway that recycles processes, as it does by default, at rest."""
    _recycling.at_rest()
    return _recycling


class Asked:
    """A request's answer, its process, and the model's input."""

    def __init__(self, server, upstream, *texts, profile="plain", **more):
        upstream.clear()
        said = [
            {"role": ("user", "assistant")[number % 2], "content": text}
            for number, text in enumerate(texts)
        ]
        status, body = server.ask("", messages=said, claude={"profile": profile}, **more)
        assert status == 200, body
        self.message = body["choices"][0]["message"]
        self.usage = body["usage"]
        self.process = last_process(server)
        server.at_rest()
        self.raw = upstream.requests[-1].raw.decode()
        self.body = upstream.requests[-1].body

    @property
    def told(self):
        return model_input(self.body), reminders(self.body)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_recycled_process_is_as_a_fresh_one(recycling, fresh, upstream, profile):
    """The next conversation reuses the process, and the model's input is as from a new one."""
    asked = ["What is 1 + 1?", "2", "And 2 + 2?"]
    expected = Asked(fresh, upstream, *asked, profile=profile)
    first = Asked(recycling, upstream, f"The password is {SECRET}.", profile=profile)
    assert SECRET in first.raw
    for _ in range(3):
        then = Asked(recycling, upstream, *asked, profile=profile)
        assert then.process == first.process
        assert SECRET not in then.raw
        assert then.told == expected.told
        assert (then.message, then.usage) == (expected.message, expected.usage)


LEFT = {
    "sampling": {"temperature": 0.5, "max_tokens": 99, "stop": ["x"]},
    "effort": {"reasoning_effort": "high"},
}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("more", LEFT.values(), ids=LEFT)
def test_settings_do_not_stay(recycling, fresh, upstream, profile, more):
    """A request's settings do not apply to the next request in its process."""
    expected = Asked(fresh, upstream, "hello", profile=profile)
    first = Asked(recycling, upstream, "hi", profile=profile, **more)
    then = Asked(recycling, upstream, "hello", profile=profile)
    assert then.process == first.process
    assert then.told == expected.told


UNLIKE: dict[str, dict[str, Any]] = {
    "functions": {"tools": [WEATHER]},
    "schema": {"response_format": SHAPE},
}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("kind", UNLIKE)
def test_unlike_turns_have_other_processes(recycling, upstream, profile, kind):
    """A process with functions or a schema serves no turn without them."""
    say = "[[tool StructuredOutput {}]] [[json {}]]" if kind == "schema" else "hi"
    first = Asked(recycling, upstream, say, profile=profile, **UNLIKE[kind])
    then = Asked(recycling, upstream, "hello", profile=profile)
    assert then.process != first.process
    assert "weather" not in then.raw


def test_tools_end_a_process(recycling, upstream):
    """A process that has used a tool serves no other conversation."""
    first = Asked(recycling, upstream, '[[tool Bash {"command": "echo x"}]]', profile="agent")
    then = Asked(recycling, upstream, "hello", profile="agent")
    assert then.process != first.process


def test_nothing_of_one_key_is_anothers(serve, upstream, tmp_path):
    """A process serves one key only."""
    keyed = KeyedGateway(serve, tmp_path, {"alice": {}, "bob": {}}, **POOLS, POOL_RECYCLE="true")

    def ask(name):
        assert keyed.ask(name, "hello")[0] == 200
        keyed.server.at_rest()
        return last_process(keyed.server)

    first = ask("alice")
    assert ask("bob") != first
    assert ask("alice") == first


@pytest.mark.parametrize("profile", PROFILES)
def test_turned_off(parking, upstream, profile):
    """With POOL_RECYCLE=false no process serves another conversation."""
    first = Asked(parking, upstream, "hello", profile=profile)
    then = Asked(parking, upstream, "hello!", profile=profile)
    assert then.process != first.process


@pytest.mark.parametrize(
    "limit",
    [{"RECYCLE_MAX_TURNS": "2"}, pytest.param({"RECYCLE_MAX_AGE": "1"}, id="age")],
)
def test_retirement(serve, upstream, limit):
    """A process that has run its turns, or is old, is ended after its turn."""
    server = serve(**POOLS, POOL_RECYCLE="", **limit).wait()
    processes = [Asked(server, upstream, "hello").process for _ in range(3)]
    assert len(set(processes)) > 1
    assert server.health()["parked"] < 2


# The same prefix again


def test_a_conversation_goes_on_in_its_process(parking, fresh, upstream):
    """A client that sends the whole conversation gets the same process and model input."""
    said = ["My name is Ada."]
    first = Asked(parking, upstream, *said, profile="agent")
    for question in ("What is my name?", "And now?"):
        said += [first.message["content"], question]
        expected = Asked(fresh, upstream, *said, profile="agent")
        then = Asked(parking, upstream, *said, profile="agent")
        assert then.process == first.process
        assert then.told == expected.told
        assert then.message == expected.message
        first = then


@pytest.mark.parametrize(
    "changed",
    [
        ["My name is Eve.", "{answer}", "What is it?"],
        ["My name is Ada.", "{answer}!", "What is it?"],
        ["My name is Ada."],
        ["My name is Ada.", "{answer}", "Well?", "Well.", "What is it?"],
    ],
)
def test_any_difference_is_a_miss(parking, upstream, changed):
    """If the history was changed, shortened or extended, another process answers."""
    begin = f"My name is Ada {uuid.uuid4()}."  # no other test says this
    first = Asked(parking, upstream, begin, profile="agent")
    answer = first.message["content"]
    said = [text.replace("My name is Ada.", begin).replace("{answer}", answer) for text in changed]
    then = Asked(parking, upstream, *said, profile="agent")
    later = len(said) > 3  # more text may follow
    assert (then.process == first.process) is later


def test_tools_are_known_to_no_client(parking, upstream):
    """A process that has used tools knows more than its client sends, and is not reused."""
    text = '[[tool Bash {"command": "echo x"}]] [[result]]'
    first = Asked(parking, upstream, text, profile="agent")
    then = Asked(parking, upstream, text, first.message["content"], "And?", profile="agent")
    assert then.process != first.process


@pytest.mark.thorough
def test_what_has_died_is_forgotten(serve, upstream):
    """A parked process that has died is not used, also without sessions."""
    server = serve(**POOLS, SESSION_STORE="none").wait()
    asked = Asked(server, upstream, "hello", profile="agent")
    assert server.health()["parked"] == 1
    os.kill(asked.process, signal.SIGKILL)
    assert eventually(lambda: server.health()["parked"] == 0, 25)
    server.at_rest()
