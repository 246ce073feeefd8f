"""Sessions: each turn is answered as if its client had sent the whole conversation."""

from __future__ import annotations

import base64
import json

import pytest

from tests.support import pictures
from tests.support.server import alive, eventually
from tests.support.session_client import Json, ask_both_ways, model_input, remember

pytestmark = pytest.mark.clis
PROFILES = ("plain", "agent")
SYSTEM = {"role": "system", "content": "Be brief."}
THINKS = "sonnet"  # always
PLACE = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": PLACE}}
CLOCK = {"type": "function", "function": {"name": "get_time", "parameters": PLACE}}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SHAPE = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}
IN_SHAPE = {
    "plain": '[[json {"city": "Rom"}]]',
    "agent": '[[tool StructuredOutput {"city": "Rom"}]]',
}
ECHO = '[[tool Bash {"command": "echo ran"}]] [[result]]'


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("profile", PROFILES)
def test_conversation(remembering, upstream, new_session, profile, stream):
    """Each turn is one request with the whole conversation, and costs the same."""
    session = new_session(remembering, profile)
    ask_both_ways(session, upstream, SYSTEM, "remember: a [[say One.]]", stream=stream)
    process = session.process
    parts = [{"type": "text", "text": text} for text in ("remember: b", "[[deltas 3]]")]
    ask_both_ways(session, upstream, {"role": "user", "content": parts}, stream=stream)
    ask_both_ways(session, upstream, "  remember: c\n[[say  Ü ]]", "remember: d", stream=stream)
    assert ask_both_ways(session, upstream, "[[recall]]", stream=stream).text == "a b c d"
    assert session.process == process
    assert session.messages == session.history


@pytest.mark.parametrize("profile", PROFILES)
def test_stats(remembering, new_session, profile):
    """Stats count the sessions' turns, tokens, dollars and parked processes."""
    session = new_session(remembering, profile)
    answers = [session.ask(remember(word)) for word in "abc"]
    stats = session.stats()
    assert (stats["sessions"], stats["turns"], stats["resumed_turns"]) == (1, 3, 2)
    assert stats["parked_processes"] == 1
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert stats[name] == sum(answer.usage[name] for answer in answers)
    assert stats["cost_usd"] == pytest.approx(sum(one.usage["cost_usd"] for one in answers))
    assert stats["oldest"] == stats["newest"] == session.get()[1]["created_at"]


@pytest.mark.parametrize("profile", PROFILES)
def test_killed(remembering, upstream, new_session, profile):
    """If the parked process is killed, the conversation goes on unchanged."""
    session = new_session(remembering, profile)
    session.ask(SYSTEM, remember("a"))
    session.ask(remember("b"))
    session.kill_process()
    killed = session.process
    ask_both_ways(session, upstream, remember("c"))
    assert session.process != killed
    assert ask_both_ways(session, upstream, "[[recall]]").text == "a b c"
    assert session.stats()["resumed_turns"] == 2  # the second and the last


@pytest.fixture(scope="module")
def unparked(_servers):
    return _servers(MAX_PARKED="0").wait()


@pytest.mark.parametrize("profile", PROFILES)
def test_nothing_parked(unparked, upstream, new_session, profile):
    """With MAX_PARKED=0 no process is parked and nothing is forgotten."""
    session = new_session(unparked, profile)
    session.ask(remember("a"))
    ask_both_ways(session, upstream, remember("b"))
    assert session.ask("[[recall]]").text == "a b"
    stats = session.stats()
    assert (stats["turns"], stats["resumed_turns"], stats["parked_processes"]) == (3, 0, 0)
    unparked.at_rest()


@pytest.mark.parametrize("profile", PROFILES)
def test_system_prompt(remembering, upstream, new_session, profile):
    """A system prompt stays until a turn brings a new one."""
    session = new_session(remembering, profile)
    ask_both_ways(session, upstream, SYSTEM, "one")
    ask_both_ways(session, upstream, "two")
    assert "Be brief." in json.dumps(upstream.requests[-1].body["system"])
    ask_both_ways(session, upstream, {"role": "developer", "content": "Be long."}, "three")
    ask_both_ways(session, upstream, "four")
    system = json.dumps(upstream.requests[-1].body["system"])
    assert "Be long." in system
    assert "Be brief." not in system
    assert [one["role"] for one in session.messages if one["role"] in ("system", "developer")] == [
        "developer"
    ]


@pytest.mark.parametrize("profile", PROFILES)
def test_changes(remembering, upstream, new_session, profile):
    """Functions, schema and model are those of the turn that asks for them."""
    session = new_session(remembering, profile)
    changes: list[Json] = [
        {},
        {"tools": [WEATHER]},
        {"tools": [WEATHER, CLOCK]},
        {"tools": [CLOCK], "tool_choice": "none"},
        {"response_format": SHAPE},
        {"model": THINKS},
        {},
    ]
    for number, change in enumerate(changes):
        if "response_format" in change:  # there Claude Code asks the agent in its own words
            assert session.ask(IN_SHAPE[profile], **change).text == '{"city": "Rom"}'
        else:
            ask_both_ways(session, upstream, remember(str(number)), **change)
    assert session.ask("[[recall]]").text == "0 1 2 3 5 6"


COLOURS = [
    {"temperature": 0.3, "top_p": 0.9, "stop": ["STOP"], "max_tokens": 3000},
    {"reasoning_effort": "high"},
]
AGENTS_COLOURS = [
    {"claude": {"disallowed_tools": ["Bash"]}},
    {"claude": {"allowed_tools": ["Read"]}},
    {"claude": {"permission_mode": "plan"}},
    {"claude": {"permission_mode": "dontAsk", "max_turns": 2}},
]


@pytest.mark.parametrize(
    ("profile", "colour"),
    [
        *((profile, colour) for profile in PROFILES for colour in COLOURS),
        *(("agent", colour) for colour in AGENTS_COLOURS),
    ],
)
def test_parameters_do_not_stick(remembering, upstream, new_session, profile, colour):
    """A turn's parameters do not affect later turns."""
    session = new_session(remembering, profile)
    session.ask("first")
    ask_both_ways(session, upstream, "coloured", **colour)
    ask_both_ways(session, upstream, "bare")
    if profile == "agent":
        assert session.ask(ECHO).text == "ran"


def test_denied_once(remembering, new_session):
    """A tool that one turn may not use is available to the next one in the same process."""
    session = new_session(remembering, "agent")
    assert session.ask(ECHO).text == "ran"
    process = session.process
    assert "denied" in session.ask(ECHO, claude={"disallowed_tools": ["Bash"]}).text
    assert session.ask(ECHO).text == "ran"
    assert session.process == process


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("killed", [False, True])
def test_pictures_and_files(remembering, upstream, new_session, profile, killed):
    """Images and files are remembered as they were sent."""
    session = new_session(remembering, profile)
    pdf = f"data:application/pdf;base64,{base64.b64encode(b'%PDF-1.4 x').decode()}"
    parts = [
        {"type": "text", "text": "Look:"},
        pictures.part(pictures.picture()),
        {"type": "file", "file": {"filename": "a.pdf", "file_data": pdf}},
        {"type": "file", "file": {"filename": "b.txt", "file_data": "Zürich"}},
    ]
    session.ask({"role": "user", "content": parts})
    if killed:
        session.kill_process()
    ask_both_ways(session, upstream, "and again")
    kinds = [
        one["type"] for one in model_input(upstream.requests[-1].body)["messages"][0]["content"]
    ]
    assert kinds == ["text", "image", "document", "document"]


# Without a colon, as [[recall]] would find the word in the prompt, too.
WRITE = '[[tool Write {"file_path": "%s/note.txt", "content": "remember\\u003a b"}]] [[say ok]]'


@pytest.mark.parametrize("killed", [False, True])
def test_working_directory(remembering, new_session, killed):
    """Files that an agent writes are there in the session's next turn, and in no other session."""
    session, other = new_session(remembering, "agent"), new_session(remembering, "agent")
    place = session.ask('[[tool Bash {"command": "pwd"}]] [[result]]').text
    session.ask(WRITE % place)
    if killed:
        session.kill_process()
    assert session.ask('[[tool Bash {"command": "cat note.txt"}]] [[say ok]]').text == "ok"
    assert session.ask("[[recall]]").text == "b"  # the tool's result is known
    found = other.ask('[[tool Bash {"command": "pwd; ls"}]] [[result]]').text
    assert found.startswith(place.rpartition("/")[0])
    assert place not in found
    assert "note.txt" not in found


def test_deleted(remembering, new_session):
    """Deleting a session removes its directory, its process and its history."""
    session = new_session(remembering, "agent")
    place = remembering.folder / "home/.local/state/claude-code-gateway/sessions"
    before = set(place.glob("*"))  # some are just being removed
    session.ask(remember("a"))
    process = session.process
    (made,) = set(place.iterdir()) - before
    assert session.delete() == 200
    assert eventually(lambda: not made.exists())
    assert eventually(lambda: not alive(process))
    assert session.get()[0] == session.delete() == 404
    assert session.ask("[[recall]]").text == "nothing"
