"""The routes of sessions: callers see their own sessions, and no others."""

from datetime import datetime, timedelta
from urllib.parse import quote

import pytest
from flask import Flask

from tests.support.pictures import part, picture
from tests.support.scripted_server import CHAT_PATH, USER, ScriptedServer, error_of
from wrapper import Gateway
from wrapper.services.events import CallDelta, CallStarted, Ended, Ending, Started, TextDelta
from wrapper.services.principal import Principal
from wrapper.services.spent import Usage
from wrapper.services.turn import SessionKey
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine

SESSIONS, STATS = "/v1/sessions", "/v1/sessions/stats"
INFO_FIELDS = {"session_id", "created_at", "last_accessed", "message_count", "expires_at"}
USAGE = Usage(3, 4, 5, 2, 1)
ANSWER = {"role": "assistant", "content": "Hello."}
ODD = ["a b", "ä", "a?b", "a#b", "100%", "%2F", "a%2Fb", "a+b", "...", ".hidden", "stats2", "日本"]
ODD += ["a\\b", '"', "'", "<b>", "a;b", "a=b&c", "\U0001f600", "x" * 128, " ", "\u2028", "\u202e"]


def path_of(id_):
    return f"{SESSIONS}/{quote(id_, safe='')}"


def run_turn(server, id_="s", content="Hi", **fields):
    """Run a turn of a session, and return the response."""
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
    """A session is returned with its times, its message count and its messages in order."""
    server = ScriptedServer()
    run_turn(server)
    run_turn(server, content="More?")
    body = get(server, path_of("s"))
    assert set(body) == {*INFO_FIELDS, "messages"}
    assert (body["session_id"], body["message_count"]) == ("s", 4)
    more = {"role": "user", "content": "More?"}
    assert body["messages"] == [USER, ANSWER, more, ANSWER]


def test_times():
    """Times are ISO 8601 with a zone; a session expires session_ttl after its last use."""
    server = ScriptedServer(session_ttl=60)
    run_turn(server)
    body = get(server, path_of("s"))
    created, used, expires = (
        datetime.fromisoformat(body[name]) for name in ("created_at", "last_accessed", "expires_at")
    )
    assert created.utcoffset() == timedelta(0)
    assert created <= used
    assert expires - used == timedelta(seconds=60)


def test_reading_does_not_extend():
    """Reading a session does not extend its life."""
    server = ScriptedServer()
    run_turn(server)
    assert get(server, path_of("s")) == get(server, path_of("s"))


def test_everything_is_told():
    """Images, function calls and results are returned in the form in which they were sent."""
    calls = [Started("m"), CallStarted(0, "c1", "f"), CallDelta(0, "{}")]
    steps = [
        [*calls, Ended(Ending.CALLS, USAGE, None)],
        [Started("m"), TextDelta("Red."), Ended(Ending.DONE, USAGE, None)],
    ]
    server = ScriptedServer(script=lambda turn: steps.pop(0))
    tools = [{"type": "function", "function": {"name": "f"}}]
    messages_sent = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Look."}, part(picture())]},
    ]
    result = {"role": "tool", "tool_call_id": "c1", "content": "1"}
    for messages in (messages_sent, [result]):
        response = server.ask(messages=messages, tools=tools, session_id="s")
        assert response.status_code == 200, response.data
    body = get(server, path_of("s"))["messages"]
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assistant_message = {"role": "assistant", "content": None, "tool_calls": [call]}
    assert body == [
        *messages_sent,
        assistant_message,
        result,
        {"role": "assistant", "content": "Red."},
    ]
    assert ScriptedServer().ask(messages=body[:-1], tools=tools).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_deleted(stream):
    """A deleted session is gone, and its id starts a new one."""
    server = ScriptedServer()
    run_turn(server, stream=stream)
    response = server.client.delete(path_of("s"))
    assert (response.status_code, response.json) == (200, {"session_id": "s", "deleted": True})
    for method in ("get", "delete"):
        error = error_of(server.client.open(path_of("s"), method=method), 404)
        assert (error["code"], error["param"]) == ("session_not_found", "session_id")
    run_turn(server)
    assert get(server, path_of("s"))["message_count"] == 2


# Ids


@pytest.mark.parametrize("id_", ODD)
def test_odd_ids(id_):
    """A session with any allowed characters in its id can be read and deleted."""
    server = ScriptedServer()
    run_turn(server, id_)
    assert [session["session_id"] for session in get(server, SESSIONS)["sessions"]] == [id_]
    assert get(server, path_of(id_))["session_id"] == id_
    deleted = server.client.delete(path_of(id_)).json
    assert deleted == {"session_id": id_, "deleted": True}
    assert get(server, SESSIONS)["total"] == 0


@pytest.mark.parametrize("id_", ["..", ".", "a%0A", "%00", "%7F", "%C2%80", "x" * 129])
@pytest.mark.parametrize("method", ["get", "delete"])
def test_wrong_ids(id_, method):
    """An invalid id is a 400, not a 404."""
    error = error_of(ScriptedServer().client.open(f"{SESSIONS}/{id_}", method=method), 400)
    assert (error["param"], error["code"]) == ("session_id", "invalid_value")


@pytest.mark.parametrize("path", ["a/b", "a%2Fb", "%2F"])
def test_slashes(path):
    """A path with a slash in the id is not a session's."""
    assert error_of(ScriptedServer().client.get(f"{SESSIONS}/{path}"), 404)["code"] == "unknown_url"


# All of them


def test_none():
    """Without sessions the list is empty."""
    assert get(ScriptedServer(), SESSIONS) == {"sessions": [], "total": 0}


def test_list():
    """The list has every session without its messages, oldest first."""
    server = ScriptedServer()
    for id_ in ("c", "a", "b"):
        run_turn(server, id_)
    body = get(server, SESSIONS)
    assert body["total"] == 3
    assert [session["session_id"] for session in body["sessions"]] == ["c", "a", "b"]
    for session in body["sessions"]:
        assert set(session) == INFO_FIELDS
        assert session == {
            name: get(server, path_of(session["session_id"]))[name] for name in INFO_FIELDS
        }


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
    """A page has the requested size and offset, and the total number of sessions."""
    server = ScriptedServer()
    for id_ in "abcde":
        run_turn(server, id_)
    body = get(server, f"{SESSIONS}{query}")
    assert [session["session_id"] for session in body["sessions"]] == list(ids)
    assert body["total"] == 5


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
    """An invalid page is a 400 that names the parameter."""
    assert error_of(ScriptedServer().client.get(f"{SESSIONS}?{query}"), 400)["param"] == param


def test_default_page():
    """A page has a hundred sessions by default."""
    server = ScriptedServer()
    for number in range(101):
        run_turn(server, str(number))
    assert len(get(server, SESSIONS)["sessions"]) == 100
    assert len(get(server, f"{SESSIONS}?limit=101")["sessions"]) == 101


def test_no_stats():
    """Without sessions every statistic is 0."""
    body = get(ScriptedServer(), STATS)
    assert (body.pop("oldest"), body.pop("newest")) == (None, None)
    assert set(body.values()) == {0}


def test_stats():
    """The statistics count sessions, turns, tokens, dollars and parked processes."""
    server = ScriptedServer(
        Started("m", resumed=True), TextDelta("a"), Ended(Ending.DONE, USAGE, 0.25)
    )
    for id_ in ("a", "a", "b"):
        run_turn(server, id_)
    body = get(server, STATS)
    first, last = (get(server, path_of(id_))["created_at"] for id_ in "ab")
    assert body == {
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


class TwoCallers:
    """An app with two callers, who are identified by a header."""

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

    def run_turn(self, caller, content, id_="s"):
        body = {"messages": [{"role": "user", "content": content}], "session_id": id_}
        response = self.open("post", CHAT_PATH, caller, json=body)
        assert response.status_code == 200, response.data

    def get(self, path, caller):
        return self.open("get", path, caller).json


def test_another_key():
    """Another key's session is a 404, is not deleted, and is in no list and no statistics."""
    callers = TwoCallers()
    callers.run_turn("alice", "a")
    unknown = callers.open("get", path_of("other"), "bob")
    for method in ("get", "delete"):
        refused = callers.open(method, path_of("s"), "bob")
        error = error_of(refused, 404)
        assert error == {
            **unknown.json["error"],
            "message": unknown.json["error"]["message"].replace("other", "s"),
        }
    assert callers.get(SESSIONS, "bob") == {"sessions": [], "total": 0}
    assert callers.get(STATS, "bob")["sessions"] == callers.get(STATS, "bob")["turns"] == 0
    assert callers.get(path_of("s"), "alice")["message_count"] == 2


def test_same_id_of_two_keys():
    """Two keys may use the same id for separate conversations."""
    callers = TwoCallers()
    for caller in ("alice", "bob"):
        callers.run_turn(caller, f"I am {caller}")
    for caller in ("alice", "bob"):
        contents = [message["content"] for message in callers.get(path_of("s"), caller)["messages"]]
        assert contents == [f"I am {caller}", "Hello."]
    assert [len(turn.messages) for turn in callers.engine.turns] == [1, 1]
    assert callers.open("delete", path_of("s"), "bob").status_code == 200
    assert callers.open("get", path_of("s"), "alice").status_code == 200


def test_parked_of_another_key(monkeypatch):
    """Processes parked for another key's sessions are not counted."""
    callers = TwoCallers()
    for caller in ("alice", "bob"):
        callers.run_turn(caller, "a")
    keys = [turn.session for turn in callers.engine.turns]
    monkeypatch.setattr(callers.engine, "parked", lambda: keys)
    assert [callers.get(STATS, caller)["parked_processes"] for caller in ("alice", "bob")] == [1, 1]


def test_without_a_key():
    """If keys are required, sessions cannot be read without one."""
    server = ScriptedServer(api_key="sk-right")
    for path in (SESSIONS, STATS, path_of("s"), path_of("..")):
        assert error_of(server.client.get(path), 401)["code"] == "invalid_api_key"


# Where none are kept


def test_no_store():
    """Without a store, requests that use sessions are a 400 with the reason; others are served."""
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


def test_no_session():
    """A request without session_id stores nothing."""
    server = ScriptedServer()
    server.ask()
    assert get(server, SESSIONS)["total"] == 0
    assert server.engine.turns[0].session is None


def test_session_keys():
    """The turns of one session have the same key; another session's key is different."""
    server = ScriptedServer()
    for id_ in ("s", "s", "t"):
        run_turn(server, id_)
    first, second, third = (turn.session for turn in server.engine.turns)
    assert isinstance(first, SessionKey)
    assert isinstance(third, SessionKey)
    assert first == second != third
    assert (first.id, third.id) == ("s", "t")
    assert first.uid != third.uid
