"""Text is only text, in every field: it reads no file and runs nothing.

At its terminal Claude Code reads a file for `@path`, runs a command for `/word` and `!`, and keeps
a note for `#`. Text of callers means none of these.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import Server
from wrapper.testing.upstream import Upstream

pytestmark = pytest.mark.clis
SECRET, NOTE = "swordfish-secret", "planted-command"
PROFILES = ("plain", "agent")
SAY = {"role": "user", "content": "[[say fine]]"}

Json = dict[str, Any]


@pytest.fixture(scope="module")
def shop(_servers, tmp_path_factory) -> tuple[Server, Path]:
    """A gateway, and a directory with a file to find."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "secret.txt").write_text(SECRET)
    (folder / ".claude" / "commands").mkdir(parents=True)
    (folder / ".claude" / "commands" / "planted.md").write_text(NOTE)
    sizes = {"POOL_SIZE": "2", "POOL_SIZE_OTHER": "2"}
    return _servers(CLAUDE_CWD=str(folder), **sizes).wait(), folder


def probes(folder: Path) -> list[str]:
    """Return texts that at a terminal would read or run something in *folder*, one of each kind."""
    return [f"@{folder}/secret.txt", "/planted", "#keep", f"!touch {folder}/mark"]


def further_probes(folder: Path) -> list[str]:
    """Return those texts, and another of some kinds."""
    return [*probes(folder), "@secret.txt", "/clear"]


def text(said: str) -> Json:
    return {"type": "text", "text": said}


def call(name: str, arguments: Json) -> Json:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": "call_1", "type": "function", "function": function}


def function(probe: str) -> Json:
    """Return a function with *probe* in each of its texts."""
    inner = {"type": "string", "title": f"{probe} a-title", "description": f"{probe} a-description"}
    schema = {
        "type": "object",
        "title": f"{probe} title",
        "description": f"{probe} schema-description",
        "properties": {"a": {**inner, "default": f"{probe} default", "enum": [f"{probe} enum"]}},
    }
    return {"name": "look", "description": f"{probe} description", "parameters": schema}


OF_SCHEMA = ("a-title", "a-description", "title", "schema-description", "default", "enum")


def talk(probe: str) -> Json:
    """Every role, in the history and at its end, and other texts of a request."""
    file = {"filename": f"{probe} filename", "file_data": f"{probe} data"}
    last = [
        {"type": "file", "file": file},
        text(f"{probe} part"),
        text(f"{probe} last [[say fine]]"),
    ]
    return {
        "messages": [
            {"role": "system", "content": f"{probe} system"},
            {"role": "user", "content": f"{probe} first", "name": f"{probe} name"},
            {"role": "assistant", "content": f"{probe} answer"},
            {"role": "developer", "content": f"{probe} developer"},
            {"role": "user", "content": "Go on."},
            {"role": "assistant", "refusal": f"{probe} refusal"},
            {"role": "user", "content": last},
        ],
        "stop": [f"{probe} stop", f"{probe} halt"],
        "user": f"{probe} user",
        "safety_identifier": f"{probe} safe",
        "metadata": {probe: probe},
        "prompt_cache_key": probe,
    }  # fmt: skip


def appended(probe: str) -> Json:
    """A system prompt after the agent's own."""
    messages = [{"role": "system", "content": f"{probe} system"}, SAY]
    return {"messages": messages, "claude": {"system_prompt_mode": "append"}}


def calls(probe: str) -> Json:
    """Arguments and results of calls, a result as the last message."""
    return {
        "messages": [
            {"role": "user", "content": f"{probe} asked [[say fine]]"},
            {
                "role": "assistant",
                "content": f"{probe} before",
                "tool_calls": [call("look", {"a": f"{probe} argument"})],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": f"{probe} result"},
        ],
        "tools": [{"type": "function", "function": function(probe)}],
    }


def first_form(probe: str) -> Json:
    """The same in OpenAI's first form of functions."""
    called = {"name": "look", "arguments": json.dumps({"a": f"{probe} argument"})}
    return {
        "messages": [
            SAY,
            {"role": "assistant", "content": None, "function_call": called},
            {"role": "function", "name": "look", "content": f"{probe} result"},
            SAY,
        ],
        "functions": [function(probe)],
    }


def shapes(probe: str) -> Json:
    """A schema for the answer."""
    asked = {"name": "shape", "schema": function(probe)["parameters"]}
    return {
        "messages": [{"role": "user", "content": "[[json {}]] [[tool StructuredOutput {}]]"}],
        "response_format": {"type": "json_schema", "json_schema": asked},
    }


def prefill(probe: str) -> Json:
    """The beginning of the answer."""
    last = {"role": "assistant", "content": f"{probe} prefill"}
    return {"messages": [SAY, last], "claude": {"prefill": True}}


# The texts of each that must reach the API, and the profiles that accept it.
OF_CALLS = ("argument", "result", "description", *OF_SCHEMA)
OF_TALK = (
    *("system", "first", "answer", "developer", "refusal", "filename", "data", "part"),
    *("last [[say fine]]", "stop", "halt"),
)
FIELDS: dict[Any, tuple[tuple[str, ...], tuple[str, ...]]] = {
    talk: (OF_TALK, PROFILES),
    appended: (("system",), ("agent",)),
    calls: (("asked [[say fine]]", "before", *OF_CALLS), PROFILES),
    first_form: (OF_CALLS, PROFILES),
    shapes: (OF_SCHEMA, PROFILES),
    prefill: (("prefill",), ("plain",)),
}
CASES = [(make, profile) for make, (_, profiles) in FIELDS.items() for profile in profiles]


def strings(held: Any) -> list[str]:
    """Return all texts in a JSON value, and the lines of those."""
    if isinstance(held, str):
        return [held, held.removesuffix("\n"), *held.split("\n\n")]
    inner = held.values() if isinstance(held, dict) else held if isinstance(held, list) else ()
    return [one for value in inner for one in strings(value)]


def check(upstream: Upstream, folder: Path, expected: list[str], answers: int = 1) -> None:
    """Check that each text arrived and had no effect."""
    sent = upstream.requests
    assert len(sent) == answers
    found = strings(sent[-1].body)
    assert [one for one in expected if one not in found] == []
    said = "".join(request.raw.decode() for request in sent)
    assert SECRET not in said
    assert NOTE not in said
    assert {path.name for path in folder.iterdir()} == {"secret.txt", ".claude"}


@pytest.mark.parametrize(
    ("make", "profile"), CASES, ids=[f"{make.__name__}-{profile}" for make, profile in CASES]
)
def test_inert(shop, upstream, make, profile):
    """Text at the beginning of a field reaches the model to the letter."""
    server, folder = shop
    # The fields differ in how they are sent, which `talk` and `calls` have most of.
    for probe in (further_probes if make in (talk, calls) else probes)(folder):
        upstream.clear()
        asked = make(probe)
        claude = {"profile": profile, **asked.pop("claude", {})}
        status, body = server.ask("", claude=claude, **asked)
        assert status == 200, (probe, body)
        check(upstream, folder, [f"{probe} {field}" for field in FIELDS[make][0]])


@pytest.mark.parametrize("profile", PROFILES)
def test_inert_in_sessions(shop, upstream, profile):
    """The same in sessions, for their ids, and in processes with earlier turns."""
    server, folder = shop
    for number, probe in enumerate(probes(folder)):
        upstream.clear()
        name = f"{probe.replace('/', '')} {number}-{profile}"
        for turn in range(2):
            said = f"{probe} turn{turn} [[say fine]]"
            status, body = server.ask(said, session_id=name, claude={"profile": profile})
            assert status == 200, (probe, body)
        check(upstream, folder, [f"{probe} turn{turn} [[say fine]]" for turn in range(2)], 2)


@pytest.mark.parametrize("field", ["tools", "functions", "response_format"])
@pytest.mark.parametrize("probe", ["@secret.txt", "/planted", "#keep", "!ls"])
def test_names(gateway, upstream, field, probe):
    """A function's or schema's name that begins so is refused, and the error names its field."""
    named = {"name": probe, "parameters": {"type": "object"}}
    asked: Json = {
        "tools": [{"type": "function", "function": named}],
        "functions": [named],
        "response_format": {"type": "json_schema", "json_schema": {"name": probe}},
    }
    status, body = gateway.ask("hello", **{field: asked[field]})
    assert status == 400
    assert body["error"]["param"].endswith(".name")
    assert not upstream.requests
