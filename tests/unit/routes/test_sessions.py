"""The sessions' routes: what a client is told of its sessions, and of nobody else's."""

from datetime import datetime, timedelta
from urllib.parse import quote

import pytest
from flask import Flask

from tests.support.pictures import part, picture
from tests.support.scripted_server import CHAT_PATH, USER, ScriptedServer, error_of
from wrapper import Gateway
from wrapper.services.events import CallDelta, CallStarted, Ended, Ending, Started, TextDelta, Usage
from wrapper.services.principal import Principal
from wrapper.services.turn import SessionKey
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine

SESSIONS, STATS = "/v1/sessions", "/v1/sessions/stats"
HEAD = {"session_id", "created_at", "last_accessed", "message_count", "expires_at"}
USAGE = Usage(3, 4, 5, 2, 1)
ANSWER = {"role": "assistant", "content": "Hello."}
ODD = ["a b", "ä", "a?b", "a#b", "100%", "%2F", "a%2Fb", "a+b", "...", ".hidden", "stats2", "日本"]
ODD += ["a\\b", '"', "'", "<b>", "a;b", "a=b&c", "\U0001f600", "x" * 128, " ", "\u2028", "\u202e"]


def path_of(id_):
    return f"{SESSIONS}/{quote(id_, safe='')}"


def say(server, id_="s", content="Hi", **fields):
    """Have a turn of a session; return what is answered."""
    messages = [{"role": "user", "content": content}]
    response = server.ask(messages=messages, session_id=id_, **fields)
    assert response.status_code == 200, response.data
    return response


def get(server, path, **options):
    response = server.client.get(path, **options)
    assert response.status_code == 200, response.data
    return response.json


# One session


def test_read():
    """A session is told with its times, how much was said, and all of that in order."""
    server = ScriptedServer()
    say(server)
    say(server, content="More?")
    told = get(server, path_of("s"))
    assert set(told) == {*HEAD, "messages"}
    assert (told["session_id"], told["message_count"]) == ("s", 4)
    more = {"role": "user", "content": "More?"}
    assert told["messages"] == [USER, ANSWER, more, ANSWER]


def test_times():
    """Times are those of ISO 8601 with their zone; a session expires a while after its last use."""
    server = ScriptedServer(session_ttl=60)
    say(server)
    told = get(server, path_of("s"))
    created, used, expires = (
        datetime.fromisoformat(told[name]) for name in ("created_at", "last_accessed", "expires_at")
    )
    assert created.utcoffset() == timedelta(0)
    assert created <= used
    assert expires - used == timedelta(seconds=60)


def test_reading_is_no_use():
    """To be read does not let a session live longer."""
    server = ScriptedServer()
    say(server)
    assert get(server, path_of("s")) == get(server, path_of("s"))


def test_everything_is_told():
    """Pictures, functions and their results are told as they were sent, to be sent again."""
    calls = [Started("m"), CallStarted(0, "c1", "f"), CallDelta(0, "{}")]
    steps = [
        [*calls, Ended(Ending.CALLS, USAGE, None)],
        [Started("m"), TextDelta("Red."), Ended(Ending.DONE, USAGE, None)],
    ]
    server = ScriptedServer(script=lambda turn: steps.pop(0))
    tools = [{"type": "function", "function": {"name": "f"}}]
    asked = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Look."}, part(picture())]},
    ]
    result = {"role": "tool", "tool_call_id": "c1", "content": "1"}
    for messages in (asked, [result]):
        response = server.ask(messages=messages, tools=tools, session_id="s")
        assert response.status_code == 200, response.data
    told = get(server, path_of("s"))["messages"]
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    said = {"role": "assistant", "content": None, "tool_calls": [call]}
    assert told == [*asked, said, result, {"role": "assistant", "content": "Red."}]
    assert ScriptedServer().ask(messages=told[:-1], tools=tools).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_deleted(stream):
    """A deleted session is gone, and its id begins another one."""
    server = ScriptedServer()
    say(server, stream=stream)
    response = server.client.delete(path_of("s"))
    assert (response.status_code, response.json) == (200, {"session_id": "s", "deleted": True})
    for method in ("get", "delete"):
        error = error_of(server.client.open(path_of("s"), method=method), 404)
        assert (error["code"], error["param"]) == ("session_not_found", "session_id")
    say(server)
    assert get(server, path_of("s"))["message_count"] == 2


# Ids


@pytest.mark.parametrize("id_", ODD)
def test_odd_ids(id_):
    """Whatever an id holds, it is told, read and deleted as it was given."""
    server = ScriptedServer()
    say(server, id_)
    assert [one["session_id"] for one in get(server, SESSIONS)["sessions"]] == [id_]
    assert get(server, path_of(id_))["session_id"] == id_
    deleted = server.client.delete(path_of(id_)).json
    assert deleted == {"session_id": id_, "deleted": True}
    assert get(server, SESSIONS)["total"] == 0


@pytest.mark.parametrize("id_", ["..", ".", "a%0A", "%00", "%7F", "%C2%80", "x" * 129])
@pytest.mark.parametrize("method", ["get", "delete"])
def test_wrong_ids(id_, method):
    """An id that no session can have is a 400, and not just unknown."""
    error = error_of(ScriptedServer().client.open(f"{SESSIONS}/{id_}", method=method), 400)
    assert (error["param"], error["code"]) == ("session_id", "invalid_value")


@pytest.mark.parametrize("path", ["a/b", "a%2Fb", "%2F"])
def test_slashes(path):
    """What has a slash in it is no session's path."""
    assert error_of(ScriptedServer().client.get(f"{SESSIONS}/{path}"), 404)["code"] == "unknown_url"


# All of them


def test_none():
    """Before the first session the list is empty."""
    assert get(ScriptedServer(), SESSIONS) == {"sessions": [], "total": 0}


def test_list():
    """The list has all that is to be told of a session but its messages, in order."""
    server = ScriptedServer()
    for id_ in ("c", "a", "b"):
        say(server, id_)
    told = get(server, SESSIONS)
    assert told["total"] == 3
    assert [one["session_id"] for one in told["sessions"]] == ["c", "a", "b"]
    for one in told["sessions"]:
        assert set(one) == HEAD
        assert one == {name: get(server, path_of(one["session_id"]))[name] for name in HEAD}


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", "abcde"),
        ("?limit=2", "ab"),
        ("?limit=2&offset=2", "cd"),
        ("?limit=2&offset=4", "e"),
        ("?offset=3", "de"),
        ("?offset=9", ""),
        ("?limit=1000&other=x", "abcde"),
    ],
)
def test_pages(query, ids):
    """A page has as many as are asked for, from where it is asked, and tells of the total."""
    server = ScriptedServer()
    for id_ in "abcde":
        say(server, id_)
    told = get(server, f"{SESSIONS}{query}")
    assert [one["session_id"] for one in told["sessions"]] == list(ids)
    assert told["total"] == 5


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("limit=", "limit"),
        ("offset=-1", "offset"),
        ("offset=1.5", "offset"),
    ],
)
def test_wrong_pages(query, param):
    """A page that cannot be is a 400 that names what is wrong."""
    assert error_of(ScriptedServer().client.get(f"{SESSIONS}?{query}"), 400)["param"] == param


def test_a_hundred_at_first():
    """Unless more are asked for, a page has a hundred."""
    server = ScriptedServer()
    for number in range(101):
        say(server, str(number))
    assert len(get(server, SESSIONS)["sessions"]) == 100
    assert len(get(server, f"{SESSIONS}?limit=101")["sessions"]) == 101


def test_no_stats():
    """Where there are no sessions, there is nothing to count."""
    told = get(ScriptedServer(), STATS)
    assert (told.pop("oldest"), told.pop("newest")) == (None, None)
    assert set(told.values()) == {0}


def test_stats():
    """The statistics count sessions, turns, tokens and dollars, and what is parked."""
    server = ScriptedServer(
        Started("m", resumed=True), TextDelta("a"), Ended(Ending.DONE, USAGE, 0.25)
    )
    for id_ in ("a", "a", "b"):
        say(server, id_)
    told = get(server, STATS)
    first, last = (get(server, path_of(id_))["created_at"] for id_ in "ab")
    assert told == {
        "sessions": 2,
        "turns": 3,
        "prompt_tokens": 36,
        "cached_tokens": 12,
        "completion_tokens": 6,
        "reasoning_tokens": 3,
        "total_tokens": 42,
        "cost_usd": 0.75,
        "oldest": first,
        "newest": last,
        "parked_processes": 0,
        "resumed_turns": 3,
    }


# Owners


class Owned:
    """An app with two callers, each by the name that it says."""

    def __init__(self):
        self.engine = ScriptedEngine()
        names = {name: Principal(name) for name in ("alice", "bob")}
        gateway = Gateway(
            Settings(),
            engine=self.engine,
            authenticate=lambda request: names.get(request.headers.get("x-caller", "")),
        )
        app = Flask(__name__)
        gateway.init_app(app)
        self.client = app.test_client()

    def open(self, method, path, caller, **options):
        return self.client.open(path, method=method, headers={"x-caller": caller}, **options)

    def say(self, caller, content, id_="s"):
        body = {"messages": [{"role": "user", "content": content}], "session_id": id_}
        response = self.open("post", CHAT_PATH, caller, json=body)
        assert response.status_code == 200, response.data

    def get(self, path, caller):
        return self.open("get", path, caller).json


def test_another_key():
    """A session of another key is a 404, is not deleted, and is in no list and no statistics."""
    owned = Owned()
    owned.say("alice", "a")
    unknown = owned.open("get", path_of("other"), "bob")
    for method in ("get", "delete"):
        refused = owned.open(method, path_of("s"), "bob")
        error = error_of(refused, 404)
        assert error == {
            **unknown.json["error"],
            "message": unknown.json["error"]["message"].replace("other", "s"),
        }
    assert owned.get(SESSIONS, "bob") == {"sessions": [], "total": 0}
    assert owned.get(STATS, "bob")["sessions"] == owned.get(STATS, "bob")["turns"] == 0
    assert owned.get(path_of("s"), "alice")["message_count"] == 2


def test_one_id_of_two_keys():
    """Two keys may have the same id, each for a conversation of its own."""
    owned = Owned()
    for caller in ("alice", "bob"):
        owned.say(caller, f"I am {caller}")
    for caller in ("alice", "bob"):
        said = [message["content"] for message in owned.get(path_of("s"), caller)["messages"]]
        assert said == [f"I am {caller}", "Hello."]
    assert [len(turn.messages) for turn in owned.engine.turns] == [1, 1]
    assert owned.open("delete", path_of("s"), "bob").status_code == 200
    assert owned.open("get", path_of("s"), "alice").status_code == 200


def test_parked_of_another_key(monkeypatch):
    """Processes that wait for another key's sessions are not counted."""
    owned = Owned()
    for caller in ("alice", "bob"):
        owned.say(caller, "a")
    keys = [turn.session for turn in owned.engine.turns]
    monkeypatch.setattr(owned.engine, "parked", lambda: keys)
    assert [owned.get(STATS, caller)["parked_processes"] for caller in ("alice", "bob")] == [1, 1]


def test_without_a_key():
    """Where keys are needed, nothing of sessions is told without."""
    server = ScriptedServer(api_key="sk-right")
    for path in (SESSIONS, STATS, path_of("s"), path_of("..")):
        assert error_of(server.client.get(path), 401)["code"] == "invalid_api_key"


# Where none are kept


def test_nothing_is_kept():
    """Without a store, all that is about sessions is a 400 that says why; all else goes on."""
    server = ScriptedServer(session_store="none")
    for method, path in (
        ("get", SESSIONS),
        ("get", STATS),
        ("get", path_of("s")),
        ("delete", path_of("s")),
    ):
        error = error_of(server.client.open(path, method=method), 400)
        assert "SESSION_STORE=none" in error["message"]
    error = error_of(server.ask(session_id="s"), 400)
    assert (error["param"], "SESSION_STORE=none" in error["message"]) == ("session_id", True)
    assert server.engine.turns == []
    assert server.ask().status_code == 200


def test_nothing_is_kept_without_a_session():
    """A request without session_id leaves nothing."""
    server = ScriptedServer()
    server.ask()
    assert get(server, SESSIONS)["total"] == 0
    assert server.engine.turns[0].session is None


def test_the_engine_is_told_of_the_session():
    """A turn bears its session's key, with a name of its own for ever."""
    server = ScriptedServer()
    for id_ in ("s", "s", "t"):
        say(server, id_)
    first, second, third = (turn.session for turn in server.engine.turns)
    assert isinstance(first, SessionKey)
    assert isinstance(third, SessionKey)
    assert first == second != third
    assert (first.id, third.id) == ("s", "t")
    assert first.uid != third.uid
