"""Sessions: each turn is told as if its client had sent the whole conversation."""

from __future__ import annotations

import base64
import json

import pytest

from tests.support import pictures
from tests.support.server import alive, eventually
from tests.support.talk import Json, heard, note, say_both_ways

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
def test_conversation(remembering, upstream, begin, profile, stream):
    """Each turn is one request, that of the whole conversation, and costs what that would cost."""
    talk = begin(remembering, profile)
    say_both_ways(talk, upstream, SYSTEM, "remember: a [[say One.]]", stream=stream)
    process = talk.process
    parts = [{"type": "text", "text": text} for text in ("remember: b", "[[deltas 3]]")]
    say_both_ways(talk, upstream, {"role": "user", "content": parts}, stream=stream)
    say_both_ways(talk, upstream, "  remember: c\n[[say  Ü ]]", "remember: d", stream=stream)
    assert say_both_ways(talk, upstream, "[[recall]]", stream=stream).text == "a b c d"
    assert talk.process == process
    assert talk.messages == talk.history


@pytest.mark.parametrize("profile", PROFILES)
def test_stats(remembering, begin, profile):
    """The sessions' turns, tokens and dollars are counted, and which found a process parked."""
    talk = begin(remembering, profile)
    answers = [talk.say(note(word)) for word in "abc"]
    stats = talk.stats()
    assert (stats["sessions"], stats["turns"], stats["resumed_turns"]) == (1, 3, 2)
    assert stats["parked_processes"] == 1
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert stats[name] == sum(answer.usage[name] for answer in answers)
    assert stats["cost_usd"] == pytest.approx(sum(one.usage["cost_usd"] for one in answers))
    assert stats["oldest"] == stats["newest"] == talk.read()[1]["created_at"]


@pytest.mark.parametrize("profile", PROFILES)
def test_killed(remembering, upstream, begin, profile):
    """Where the parked process was killed the conversation goes on, and the client cannot tell."""
    talk = begin(remembering, profile)
    talk.say(SYSTEM, note("a"))
    talk.say(note("b"))
    talk.kill()
    killed = talk.process
    say_both_ways(talk, upstream, note("c"))
    assert talk.process != killed
    assert say_both_ways(talk, upstream, "[[recall]]").text == "a b c"
    assert talk.stats()["resumed_turns"] == 2  # the second and the last


@pytest.mark.parametrize("profile", PROFILES)
def test_nothing_parked(serve, upstream, begin, profile):
    """With MAX_PARKED=0 no process stays, and nothing is forgotten."""
    server = serve(MAX_PARKED="0", DEFAULT_PROFILE=profile, POOL_SIZE_OTHER="0").wait()
    talk = begin(server, profile)
    talk.say(note("a"))
    say_both_ways(talk, upstream, note("b"))
    assert talk.say("[[recall]]").text == "a b"
    stats = talk.stats()
    assert (stats["turns"], stats["resumed_turns"], stats["parked_processes"]) == (3, 0, 0)
    server.at_rest()


@pytest.mark.parametrize("profile", PROFILES)
def test_system_prompt(remembering, upstream, begin, profile):
    """A system prompt holds until there is a new one, which takes its place."""
    talk = begin(remembering, profile)
    say_both_ways(talk, upstream, SYSTEM, "one")
    say_both_ways(talk, upstream, "two")
    assert "Be brief." in json.dumps(upstream.requests[-1].body["system"])
    say_both_ways(talk, upstream, {"role": "developer", "content": "Be long."}, "three")
    say_both_ways(talk, upstream, "four")
    system = json.dumps(upstream.requests[-1].body["system"])
    assert "Be long." in system
    assert "Be brief." not in system
    assert [one["role"] for one in talk.messages if one["role"] in ("system", "developer")] == [
        "developer"
    ]


@pytest.mark.parametrize("profile", PROFILES)
def test_changes(remembering, upstream, begin, profile):
    """Functions, schema and model are a turn's own: each turn has those that it asks for."""
    talk = begin(remembering, profile)
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
        if "response_format" in change:  # where Claude Code asks an agent itself, in its own words
            assert talk.say(IN_SHAPE[profile], **change).text == '{"city": "Rom"}'
        else:
            say_both_ways(talk, upstream, note(str(number)), **change)
    assert talk.say("[[recall]]").text == "0 1 2 3 5 6"


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
def test_parameters_do_not_stick(remembering, upstream, begin, profile, colour):
    """What a turn asks for colours no later one that asks for nothing."""
    talk = begin(remembering, profile)
    talk.say("first")
    say_both_ways(talk, upstream, "coloured", **colour)
    say_both_ways(talk, upstream, "bare")
    if profile == "agent":
        assert talk.say(ECHO).text == "ran"


def test_denied_once(remembering, begin):
    """A tool that one turn may not use is the next one's again, in the very same process."""
    talk = begin(remembering, "agent")
    assert talk.say(ECHO).text == "ran"
    process = talk.process
    assert "denied" in talk.say(ECHO, claude={"disallowed_tools": ["Bash"]}).text
    assert talk.say(ECHO).text == "ran"
    assert talk.process == process


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("killed", [False, True])
def test_pictures_and_files(remembering, upstream, begin, profile, killed):
    """Pictures and files are remembered as they were sent."""
    talk = begin(remembering, profile)
    pdf = f"data:application/pdf;base64,{base64.b64encode(b'%PDF-1.4 x').decode()}"
    parts = [
        {"type": "text", "text": "Look:"},
        pictures.part(pictures.picture()),
        {"type": "file", "file": {"filename": "a.pdf", "file_data": pdf}},
        {"type": "file", "file": {"filename": "b.txt", "file_data": "Zürich"}},
    ]
    talk.say({"role": "user", "content": parts})
    if killed:
        talk.kill()
    say_both_ways(talk, upstream, "and again")
    kinds = [one["type"] for one in heard(upstream.requests[-1].body)["messages"][0]["content"]]
    assert kinds == ["text", "image", "document", "document"]


# The colon is none in the prompt, where [[recall]] would find it too.
WRITE = '[[tool Write {"file_path": "%s/note.txt", "content": "remember\\u003a b"}]] [[say ok]]'


@pytest.mark.parametrize("killed", [False, True])
def test_working_directory(remembering, begin, killed):
    """What an agent writes is there in its session's next turn, and in no other session."""
    talk, other = begin(remembering, "agent"), begin(remembering, "agent")
    place = talk.say('[[tool Bash {"command": "pwd"}]] [[result]]').text
    talk.say(WRITE % place)
    if killed:
        talk.kill()
    assert talk.say('[[tool Bash {"command": "cat note.txt"}]] [[say ok]]').text == "ok"
    assert talk.say("[[recall]]").text == "b"  # what the tool has told is known
    found = other.say('[[tool Bash {"command": "pwd; ls"}]] [[result]]').text
    assert found.startswith(place.rpartition("/")[0])
    assert place not in found
    assert "note.txt" not in found


def test_deleted(remembering, begin):
    """A session that is deleted leaves no directory, no process and no memory."""
    talk = begin(remembering, "agent")
    place = remembering.folder / "home/.local/state/claude-code-gateway/sessions"
    before = set(place.glob("*"))  # among which some may just be removed
    talk.say(note("a"))
    process = talk.process
    (made,) = set(place.iterdir()) - before
    assert talk.delete() == 200
    assert eventually(lambda: not made.exists())
    assert eventually(lambda: not alive(process))
    assert talk.read()[0] == talk.delete() == 404
    assert talk.say("[[recall]]").text == "nothing"
