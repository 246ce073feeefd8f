"""Faults in sessions: a turn is remembered once and whole, or not at all."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai
import pytest

from tests.support.keyed_gateway import KeyedGateway
from tests.support.server import alive, eventually
from tests.support.session_client import SessionClient, ask_both_ways, remember

PROFILES = ("plain", "agent")
RETRY = {"x-stainless-retry-count": "1"}
SHAPE = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
FAILING = [
    ("[[error 500]]", {}),
    ("[[deltas 3]] [[stall 0.2]] [[cut]]", {}),
    ("[[say no object]]", {"response_format": SHAPE, "model": "sonnet"}),
]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("asked", "more"), FAILING)
def test_failing_turn(remembering, new_session, profile, asked, more):
    """A turn that fails leaves the session as it was, and the next turn works."""
    session = new_session(remembering, profile)
    session.ask(remember("a"))
    before = session.messages
    assert session.ask_failing(f"remember: b {asked}", **more).status_code >= 500
    assert session.messages == before
    assert session.ask(remember("c")).text == "ok"
    assert session.ask("[[recall]]").text == "a c"


@pytest.mark.parametrize("profile", PROFILES)
def test_failing_first_turn(remembering, new_session, profile):
    """If the first turn is not remembered, no session and no files exist."""
    directory = remembering.folder / "home/.local/state/claude-code-gateway/sessions"
    before = set(directory.glob("*"))
    session = new_session(remembering, profile)
    session.ask_failing("remember: a [[error 500]]")
    session.ask("remember: b [[stop refusal]]")
    assert session.get()[0] == 404
    assert eventually(lambda: before >= set(directory.glob("*")))
    assert eventually(lambda: not alive(session.process))
    assert session.ask("[[recall]]").text == "nothing"


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("first", [False, True])
def test_client_gone(remembering, upstream, new_session, profile, first):
    """If the client disconnects, its turn is not remembered."""
    session = new_session(remembering, profile)
    words = [] if first else ["a"]
    for word in words:
        session.ask(remember(word))
    session.ask_and_disconnect("remember: b [[stall 50]] [[say remember: c]]")
    assert upstream.wait_for(lambda seen: seen[-1].ended == "aborted")
    assert session.ask(remember("d")).text == "ok"
    assert session.ask("[[recall]]").text == " ".join([*words, "d"])
    assert len(session.messages) == 2 * len(words) + 4


@pytest.mark.parametrize("profile", PROFILES)
def test_refusal(remembering, new_session, profile):
    """A refusal is not remembered, as the API would refuse all later turns."""
    session = new_session(remembering, profile)
    session.ask(remember("a"))
    before = session.messages
    for stream in (False, True):
        refused = session.ask("remember: b [[deltas 3]] [[stop refusal]]", stream=stream)
        assert refused.reason == "content_filter"
        assert session.messages == before
    assert session.ask(remember("c")).text == "ok"
    assert session.ask("[[recall]]").text == "a c"


@pytest.mark.parametrize("profile", PROFILES)
def test_length(remembering, upstream, new_session, profile):
    """An answer cut off at max_tokens is remembered as the client got it."""
    session = new_session(remembering, profile)
    cut = session.ask("[[deltas 4]] [[stop max_tokens]]", max_tokens=4)
    assert (cut.text, cut.reason) == ("w1 w2 w3 w4", "length")
    assert session.messages[-1] == cut.message
    ask_both_ways(session, upstream, "and then?")


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    ("first", "again"),
    [({}, RETRY), ({"Idempotency-Key": "k"}, {"Idempotency-Key": "k"})],
)
def test_retry(remembering, upstream, new_session, profile, first, again):
    """A retry after a lost answer gets the stored answer."""
    session = new_session(remembering, profile)
    session.ask(remember("a"))
    said = session.ask(remember("b"), headers=first)
    count, asked = session.get()[1]["message_count"], len(upstream.requests)
    for stream in (False, True):
        told = session.ask(remember("b"), headers=again, stream=stream)
        assert (told.message, told.reason, told.usage) == (said.message, said.reason, said.usage)
        assert told.headers["idempotent-replayed"] == "true"
    assert session.get()[1]["message_count"] == count
    assert len(upstream.requests) == asked
    assert session.ask("[[recall]]").text == "a b"
    assert session.stats()["resumed_turns"] == 2


def test_the_same_again(remembering, new_session):
    """The same text without a retry header, or with another key, is a new turn."""
    session = new_session(remembering)
    for key in (None, None, "k", "l"):
        headers = {"Idempotency-Key": key} if key else None
        assert "idempotent-replayed" not in session.ask(remember("a"), headers=headers).headers
    assert session.ask("[[recall]]").text == "a a a a"


def test_replayed_call(remembering, upstream, new_session):
    """A replayed call has the same id."""
    session = new_session(remembering)
    tools = [{"type": "function", "function": {"name": "f"}}]
    called = session.ask('[[tool f {"a": 1}]]', tools=tools)
    told = session.ask('[[tool f {"a": 1}]]', tools=tools, headers=RETRY, stream=True)
    assert (told.calls, told.reason) == (called.calls, "tool_calls")
    assert len(upstream.requests) == 1


class Lossy(ThreadingHTTPServer):
    """A proxy to a gateway that drops the answer to the first request."""

    def __init__(self, server):
        super().__init__(("127.0.0.1", 0), Losing)
        self.gateway, self.seen = server, []
        self.url = f"http://127.0.0.1:{self.server_port}/v1"


class Losing(BaseHTTPRequestHandler):
    server: Lossy

    def do_POST(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        count = "x-stainless-retry-count"
        sent = {count: self.headers[count]}
        status, headers, said = self.server.gateway.call("POST", self.path, data, sent)
        self.server.seen.append(self.headers[count])
        self.close_connection = True
        if len(self.server.seen) > 1:
            self.send_response(status)
            for name in ("content-type", "content-length", "idempotent-replayed"):
                if name in headers:
                    self.send_header(name, headers[name])
            self.end_headers()
            self.wfile.write(said)

    def log_message(self, *_):
        """Log nothing."""


@pytest.fixture
def lossy(remembering):
    with Lossy(remembering) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        yield proxy
        proxy.shutdown()
        thread.join()


def test_lost_answer(remembering, upstream, new_session, lossy):
    """If an answer is lost, the client library retries and gets it."""
    session = new_session(remembering, url=lossy.url, retries=1)
    answer = session.ask(remember("a"))
    assert (answer.text, answer.headers["idempotent-replayed"]) == ("ok", "true")
    assert lossy.seen == ["0", "1"]
    assert len(upstream.requests) == 1
    assert session.ask("[[recall]]").text == "a"


def test_impatient_client(remembering, upstream, new_session):
    """If a client library times out and retries, the session is as before."""
    session = new_session(remembering, retries=1)
    session.ask(remember("a"))
    error = session.ask_failing("remember: b [[stall 50]] [[say one two]]", timeout=2.0)
    assert isinstance(error, openai.APITimeoutError)
    # On a busy machine only the first may have got a process by then.
    assert upstream.wait_for(lambda seen: {one.ended for one in seen[1:]} == {"aborted"})
    assert session.ask("[[recall]]").text == "a"


def test_nothing_is_paid_twice(remembering, new_session):
    """A replayed answer is not counted as spent again."""
    session = new_session(remembering)
    session.ask(remember("a"))
    spent = session.call("GET", "/v1/usage")[1]["data"]
    session.ask(remember("a"), headers=RETRY)
    assert session.call("GET", "/v1/usage")[1]["data"] == spent
    assert session.stats()["turns"] == 1


@pytest.mark.parametrize("profile", PROFILES)
def test_two_at_once(remembering, upstream, new_session, profile):
    """A second turn waits for the running one, and continues from it."""
    session = new_session(remembering, profile)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(session.ask, "remember: a [[stall 0.7]] [[say one two]]")
        assert upstream.wait_for(bool)
        assert session.ask("[[recall]]").text == "a"
        assert first.result().text == "one two"
    assert [message["content"] for message in session.messages][1::2] == ["one two", "a"]


def test_many_at_once(remembering, new_session):
    """Simultaneous turns are all remembered, one after the other."""
    session = new_session(remembering)
    words = [f"w{number}" for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda word: session.ask(remember(word)), words))
    assert sorted(session.ask("[[recall]]").text.split()) == words


@pytest.fixture(scope="module")
def _narrow(_servers):
    return _servers(POOL_SIZE="1", POOL_SIZE_OTHER="1", SESSION_WAIT="1", MAX_PARKED="1").wait()


@pytest.fixture
def narrow(_narrow, upstream):
    """A gateway with SESSION_WAIT of a second and one parked process."""
    return _narrow


def test_wait(narrow, upstream, new_session):
    """A turn that waits longer than SESSION_WAIT is a 409, which the client must not retry."""
    session = new_session(narrow)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(session.ask, "remember: a [[stall 60]] [[say one two]]")
        assert upstream.wait_for(bool)
        error = session.ask_failing(remember("b"))
        assert error.status_code == 409
        assert "SESSION_WAIT" in error.message
        assert error.response.headers["x-should-retry"] == "false"
        upstream.release()
        assert first.result().text == "one two"
    assert session.ask("[[recall]]").text == "a"


def test_fewer_places_than_sessions(narrow, new_session):
    """With more sessions than MAX_PARKED the last used ones keep their process."""
    sessions = [new_session(narrow, "agent"), new_session(narrow, "plain")]
    for word in "ab":
        for session in sessions:
            session.ask(remember(word))
    assert [session.ask("[[recall]]").text for session in sessions] == ["a b", "a b"]
    assert sessions[0].stats()["resumed_turns"] == 0
    assert sessions[0].stats()["parked_processes"] == 1


def test_expiry(serve, new_session):
    """A session expires SESSION_TTL after its last turn; its process and directory go soon."""
    server = serve(SESSION_TTL="5", LOG_LEVEL="debug", POOL_SIZE="1").wait()
    directory = server.folder / "home/.local/state/claude-code-gateway/sessions"
    sessions = [new_session(server, profile) for profile in PROFILES]
    for session in sessions:
        session.ask(remember("a"))
        assert session.process in server.claudes()
    assert len(list(directory.iterdir())) == 1
    assert eventually(lambda: all(session.get()[0] == 404 for session in sessions))
    assert sessions[0].stats()["sessions"] == 0
    assert eventually(lambda: not any(alive(session.process) for session in sessions), 30)
    assert eventually(lambda: not any(directory.iterdir()), 30)
    assert [session.ask("[[recall]]").text for session in sessions] == ["nothing"] * 2


def test_idle(serve, new_session):
    """After PARKED_IDLE a parked process is ended, and its session goes on in a new one."""
    server = serve(PARKED_IDLE="1", POOL_SIZE="1").wait()
    sessions = [new_session(server, profile) for profile in PROFILES]
    for session in sessions:
        session.ask(remember("a"))
    assert eventually(lambda: sessions[0].stats()["parked_processes"] == 0, 30)
    server.at_rest()
    for session in sessions:
        assert session.ask(remember("b")).text == "ok"
    assert sessions[0].stats()["resumed_turns"] == 0
    assert [session.ask("[[recall]]").text for session in sessions] == ["a b", "a b"]


def test_owners(serve, upstream, tmp_path, new_session):
    """A session exists only for its key."""
    keyed = KeyedGateway(
        serve, tmp_path, {"alice": {}, "bob": {}}, POOL_SIZE_OTHER="1", POOL_SIZE="1"
    )
    alice, bob = (
        new_session(keyed.server, key=keyed.keys[name], name="ours") for name in keyed.keys
    )
    alice.ask(remember("a"))
    assert bob.get()[0] == bob.delete() == 404
    assert bob.call("GET", "/v1/sessions")[1] == {"sessions": [], "total": 0}
    assert (bob.stats()["sessions"], bob.stats()["turns"], bob.stats()["parked_processes"]) == (
        0,
        0,
        0,
    )
    assert bob.ask(remember("b")).text == "ok"
    assert (alice.ask("[[recall]]").text, bob.ask("[[recall]]").text) == ("a", "b")
    assert bob.delete() == 200
    assert alice.ask("[[recall]]").text == "a"
    assert alice.stats()["turns"] == 3


@pytest.mark.parametrize("stream", [False, True])
def test_deleted_in_mid_turn(remembering, upstream, new_session, stream):
    """If a session is deleted in mid-turn, the turn is an error, and the session begins anew."""
    session = new_session(remembering)
    session.ask(remember("a"))
    upstream.clear()
    with ThreadPoolExecutor() as pool:
        asked = "remember: b [[stall 60]] [[say one two]]"
        turn = pool.submit(session.ask_failing, asked, stream=stream)
        assert upstream.wait_for(bool)
        assert session.delete() == 200
        assert session.get()[0] == 404
        upstream.release()
        assert "deleted" in turn.result().message
    assert session.get()[0] == 404
    assert session.ask("[[recall]]").text == "nothing"


@pytest.mark.thorough
def test_stop(serve, new_session):
    """When the gateway stops, parked processes end too."""
    server = serve(POOL_SIZE="1", POOL_SIZE_OTHER="1").wait()
    for profile in PROFILES:
        new_session(server, profile).ask(remember("a"))
    assert new_session(server).stats()["parked_processes"] == 2
    seen = server.claudes()
    assert len(seen) >= 2
    assert server.stop() == 0
    assert not any(map(alive, seen))
    assert not list((server.folder / "tmp").iterdir())


class Walk:
    """Random steps of two sessions, with the words that each must remember."""

    def __init__(self, sessions):
        self.words: dict[SessionClient, list[str]] = {session: [] for session in sessions}
        self._number = 0

    def turn(self, session):
        word = self._word()
        assert session.ask(remember(word)).text == "ok"
        self.words[session].append(word)

    def recall(self, session):
        assert session.ask("[[recall]]").text == (" ".join(self.words[session]) or "nothing")

    def fail(self, session):
        assert session.ask_failing(f"remember: {self._word()} [[error 500]]").status_code == 500

    def refuse(self, session):
        assert session.ask(f"remember: {self._word()} [[stop refusal]]").reason == "content_filter"

    def leave(self, session):
        session.ask_and_disconnect(f"remember: {self._word()} [[stall 50]] [[say one two]]")

    def again(self, session):
        word = self._word()
        for headers in (None, RETRY):
            assert session.ask(remember(word), headers=headers).text == "ok"
        self.words[session].append(word)

    def kill(self, session):
        session.kill_process()

    def delete(self, session):
        session.delete()
        self.words[session].clear()

    def _word(self):
        self._number += 1
        return f"w{self._number}"


STEPS = ("turn", "turn", "recall", "kill", "fail", "refuse", "leave", "again", "delete")


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(3))
def test_walk(remembering, new_session, seed):
    """After any steps in any order each session remembers its own words and no others."""
    chosen = random.Random(seed)
    walk = Walk([new_session(remembering, profile) for profile in PROFILES])
    for _ in range(20):
        session = chosen.choice(list(walk.words))
        getattr(walk, chosen.choice(STEPS))(session)
    for session in walk.words:
        walk.recall(session)
