"""What goes wrong in sessions: a turn is remembered once and whole, or not at all."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai
import pytest

from tests.support.server import alive, eventually
from tests.support.talk import Talk, note, say_both_ways
from tests.support.team import Team

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
def test_failing_turn(remembering, begin, profile, asked, more):
    """A turn that fails leaves the session as it was, and the next one goes on from there."""
    talk = begin(remembering, profile)
    talk.say(note("a"))
    before = talk.messages
    assert talk.fail(f"remember: b {asked}", **more).status_code >= 500
    assert talk.messages == before
    assert talk.say(note("c")).text == "ok"
    assert talk.say("[[recall]]").text == "a c"


@pytest.mark.parametrize("profile", PROFILES)
def test_failing_first_turn(remembering, begin, profile):
    """A session whose first turn is not remembered does not come to be, and leaves nothing."""
    place = remembering.folder / "home/.local/state/claude-code-gateway/sessions"
    before = set(place.glob("*"))
    talk = begin(remembering, profile)
    talk.fail("remember: a [[error 500]]")
    talk.say("remember: b [[stop refusal]]")
    assert talk.read()[0] == 404
    assert eventually(lambda: before >= set(place.glob("*")), 20)
    assert eventually(lambda: not alive(talk.process), 20)
    assert talk.say("[[recall]]").text == "nothing"


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("first", [False, True])
def test_client_gone(remembering, upstream, begin, profile, first):
    """What a client had been sent that has left is not remembered, nor what it asked."""
    talk = begin(remembering, profile)
    words = [] if first else ["a"]
    for word in words:
        talk.say(note(word))
    talk.leave("remember: b [[stall 50]] [[say remember: c]]")
    assert upstream.wait_for(lambda seen: seen[-1].ended == "aborted")
    assert talk.say(note("d")).text == "ok"
    assert talk.say("[[recall]]").text == " ".join([*words, "d"])
    assert len(talk.messages) == 2 * len(words) + 4


@pytest.mark.parametrize("profile", PROFILES)
def test_refusal(remembering, begin, profile):
    """A refusal is told and not remembered: the API would refuse all that followed."""
    talk = begin(remembering, profile)
    talk.say(note("a"))
    before = talk.messages
    for stream in (False, True):
        refused = talk.say("remember: b [[deltas 3]] [[stop refusal]]", stream=stream)
        assert refused.reason == "content_filter"
        assert talk.messages == before
    assert talk.say(note("c")).text == "ok"
    assert talk.say("[[recall]]").text == "a c"


@pytest.mark.parametrize("profile", PROFILES)
def test_length(remembering, upstream, begin, profile):
    """An answer that max_tokens cuts off is remembered as far as it was told."""
    talk = begin(remembering, profile)
    cut = talk.say("[[deltas 4]] [[stop max_tokens]]", max_tokens=4)
    assert (cut.text, cut.reason) == ("w1 w2 w3 w4", "length")
    assert talk.messages[-1] == cut.message
    say_both_ways(talk, upstream, "and then?")


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    ("first", "again"),
    [({}, RETRY), ({"Idempotency-Key": "k"}, {"Idempotency-Key": "k"})],
)
def test_retry(remembering, upstream, begin, profile, first, again):
    """What a client sends once more because it has lost the answer is answered, not said again."""
    talk = begin(remembering, profile)
    talk.say(note("a"))
    said = talk.say(note("b"), headers=first)
    count, asked = talk.read()[1]["message_count"], len(upstream.requests)
    for stream in (False, True):
        told = talk.say(note("b"), headers=again, stream=stream)
        assert (told.message, told.reason, told.usage) == (said.message, said.reason, said.usage)
        assert told.headers["idempotent-replayed"] == "true"
    assert talk.read()[1]["message_count"] == count
    assert len(upstream.requests) == asked
    assert talk.say("[[recall]]").text == "a b"
    assert talk.stats()["resumed_turns"] == 2


def test_the_same_again(remembering, begin):
    """The same text without a sign of a retry is a turn of its own; so it is with another key."""
    talk = begin(remembering)
    for key in (None, None, "k", "l"):
        headers = {"Idempotency-Key": key} if key else None
        assert "idempotent-replayed" not in talk.say(note("a"), headers=headers).headers
    assert talk.say("[[recall]]").text == "a a a a"


def test_call_told_again(remembering, upstream, begin):
    """A call is told again with its very id."""
    talk = begin(remembering)
    tools = [{"type": "function", "function": {"name": "f"}}]
    called = talk.say('[[tool f {"a": 1}]]', tools=tools)
    told = talk.say('[[tool f {"a": 1}]]', tools=tools, headers=RETRY, stream=True)
    assert (told.calls, told.reason) == (called.calls, "tool_calls")
    assert len(upstream.requests) == 1


class Lossy(ThreadingHTTPServer):
    """Passes requests on to a gateway, and loses the answer to the first one."""

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
        """Say nothing."""


@pytest.fixture
def lossy(remembering):
    with Lossy(remembering) as proxy:
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        yield proxy
        proxy.shutdown()
        thread.join()


def test_lost_answer(remembering, upstream, begin, lossy):
    """Where an answer is lost the client library asks again, and gets it."""
    talk = begin(remembering, url=lossy.url, retries=1)
    answer = talk.say(note("a"))
    assert (answer.text, answer.headers["idempotent-replayed"]) == ("ok", "true")
    assert lossy.seen == ["0", "1"]
    assert len(upstream.requests) == 1
    assert talk.say("[[recall]]").text == "a"


def test_impatient_client(remembering, upstream, begin):
    """A client library that gives up and asks again finds a session that is as it was."""
    talk = begin(remembering, retries=1)
    talk.say(note("a"))
    error = talk.fail("remember: b [[stall 50]] [[say one two]]", timeout=1.0)
    assert isinstance(error, openai.APITimeoutError)
    assert upstream.wait_for(lambda seen: [one.ended for one in seen[1:]] == ["aborted"] * 2)
    assert talk.say("[[recall]]").text == "a"


def test_nothing_is_paid_twice(remembering, begin):
    """An answer that is told again is not counted among what was spent."""
    talk = begin(remembering)
    talk.say(note("a"))
    spent = talk.call("GET", "/v1/usage")[1]
    talk.say(note("a"), headers=RETRY)
    assert talk.call("GET", "/v1/usage")[1] == spent
    assert talk.stats()["turns"] == 1


@pytest.mark.parametrize("profile", PROFILES)
def test_two_at_once(remembering, upstream, begin, profile):
    """A turn that comes while another one runs waits for it, and goes on from it."""
    talk = begin(remembering, profile)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(talk.say, "remember: a [[stall 0.7]] [[say one two]]")
        assert upstream.wait_for(bool)
        assert talk.say("[[recall]]").text == "a"
        assert first.result().text == "one two"
    assert [message["content"] for message in talk.messages][1::2] == ["one two", "a"]


def test_many_at_once(remembering, begin):
    """Turns that come at once are all remembered, one after the other."""
    talk = begin(remembering)
    words = [f"w{number}" for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda word: talk.say(note(word)), words))
    assert sorted(talk.say("[[recall]]").text.split()) == words


@pytest.fixture(scope="module")
def _narrow(_servers):
    return _servers(POOL_SIZE="1", POOL_SIZE_OTHER="1", SESSION_WAIT="1", MAX_PARKED="1").wait()


@pytest.fixture
def narrow(_narrow, upstream):
    """A gateway where turns wait for a second, and one process may stay."""
    return _narrow


def test_wait(narrow, upstream, begin):
    """A turn that has waited for SESSION_WAIT is a 409, which the client must not try again."""
    talk = begin(narrow)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(talk.say, "remember: a [[stall 4]] [[say one two]]")
        assert upstream.wait_for(bool)
        error = talk.fail(note("b"))
        assert error.status_code == 409
        assert "SESSION_WAIT" in error.message
        assert error.response.headers["x-should-retry"] == "false"
        assert first.result().text == "one two"
    assert talk.say("[[recall]]").text == "a"


def test_fewer_places_than_sessions(narrow, begin):
    """Where fewer processes may stay than there are sessions, the last used ones' do."""
    talks = [begin(narrow, "agent"), begin(narrow, "plain")]
    for word in "ab":
        for talk in talks:
            talk.say(note(word))
    assert [talk.say("[[recall]]").text for talk in talks] == ["a b", "a b"]
    assert talks[0].stats()["resumed_turns"] == 0
    assert talks[0].stats()["parked_processes"] == 1


def test_expiry(serve, begin):
    """A session expires SESSION_TTL after its last turn; process and directory go soon."""
    server = serve(SESSION_TTL="2", LOG_LEVEL="debug", POOL_SIZE="1").wait()
    place = server.folder / "home/.local/state/claude-code-gateway/sessions"
    talks = [begin(server, profile) for profile in PROFILES]
    for talk in talks:
        talk.say(note("a"))
        assert talk.process in server.claudes()
    assert len(list(place.iterdir())) == 1
    assert eventually(lambda: all(talk.read()[0] == 404 for talk in talks), 10)
    assert talks[0].stats()["sessions"] == 0
    assert eventually(lambda: not any(alive(talk.process) for talk in talks), 30)
    assert eventually(lambda: not any(place.iterdir()), 30)
    assert [talk.say("[[recall]]").text for talk in talks] == ["nothing"] * 2


def test_idle(serve, begin):
    """A process that has waited for PARKED_IDLE is given back; its session is rebuilt."""
    server = serve(PARKED_IDLE="1", POOL_SIZE="1").wait()
    talks = [begin(server, profile) for profile in PROFILES]
    for talk in talks:
        talk.say(note("a"))
    assert eventually(lambda: talks[0].stats()["parked_processes"] == 0, 30)
    server.at_rest()
    for talk in talks:
        assert talk.say(note("b")).text == "ok"
    assert talks[0].stats()["resumed_turns"] == 0
    assert [talk.say("[[recall]]").text for talk in talks] == ["a b", "a b"]


def test_owners(serve, upstream, tmp_path, begin):
    """A session is its key's alone: to another key it is not there, whatever its name."""
    team = Team(serve, tmp_path, {"alice": {}, "bob": {}}, POOL_SIZE_OTHER="1", POOL_SIZE="1")
    alice, bob = (begin(team.server, key=team.keys[name], name="ours") for name in team.keys)
    alice.say(note("a"))
    assert bob.read()[0] == bob.delete() == 404
    assert bob.call("GET", "/v1/sessions")[1] == {"sessions": [], "total": 0}
    assert (bob.stats()["sessions"], bob.stats()["turns"], bob.stats()["parked_processes"]) == (
        0,
        0,
        0,
    )
    assert bob.say(note("b")).text == "ok"
    assert (alice.say("[[recall]]").text, bob.say("[[recall]]").text) == ("a", "b")
    assert bob.delete() == 200
    assert alice.say("[[recall]]").text == "a"
    assert alice.stats()["turns"] == 3


@pytest.mark.parametrize("stream", [False, True])
def test_deleted_in_mid_turn(remembering, upstream, begin, stream):
    """A turn whose session is deleted meanwhile says so, and the session begins anew."""
    talk = begin(remembering)
    talk.say(note("a"))
    upstream.clear()
    with ThreadPoolExecutor() as pool:
        asked = "remember: b [[stall 1]] [[say one two]]"
        turn = pool.submit(talk.fail, asked, stream=stream)
        assert upstream.wait_for(bool)
        assert talk.delete() == 200
        assert talk.read()[0] == 404
        assert "deleted" in turn.result().message
    assert talk.read()[0] == 404
    assert talk.say("[[recall]]").text == "nothing"


def test_stop(serve, begin):
    """When the gateway stops no process is left, parked ones neither."""
    server = serve(POOL_SIZE="1", POOL_SIZE_OTHER="1").wait()
    for profile in PROFILES:
        begin(server, profile).say(note("a"))
    assert begin(server).stats()["parked_processes"] == 2
    seen = server.claudes()
    assert len(seen) >= 2
    assert server.stop() == 0
    assert not any(map(alive, seen))
    assert not list((server.folder / "tmp").iterdir())


class Walk:
    """Two sessions and what each must remember, through whatever happens to them."""

    def __init__(self, talks):
        self.words: dict[Talk, list[str]] = {talk: [] for talk in talks}
        self._number = 0

    def turn(self, talk):
        word = self._word()
        assert talk.say(note(word)).text == "ok"
        self.words[talk].append(word)

    def recall(self, talk):
        assert talk.say("[[recall]]").text == (" ".join(self.words[talk]) or "nothing")

    def fail(self, talk):
        assert talk.fail(f"remember: {self._word()} [[error 500]]").status_code == 500

    def refuse(self, talk):
        assert talk.say(f"remember: {self._word()} [[stop refusal]]").reason == "content_filter"

    def leave(self, talk):
        talk.leave(f"remember: {self._word()} [[stall 50]] [[say one two]]")

    def again(self, talk):
        word = self._word()
        for headers in (None, RETRY):
            assert talk.say(note(word), headers=headers).text == "ok"
        self.words[talk].append(word)

    def kill(self, talk):
        talk.kill()

    def delete(self, talk):
        talk.delete()
        self.words[talk].clear()

    def _word(self):
        self._number += 1
        return f"w{self._number}"


STEPS = ("turn", "turn", "recall", "kill", "fail", "refuse", "leave", "again", "delete")


@pytest.mark.parametrize("seed", range(3))
def test_walk(remembering, begin, seed):
    """Whatever happens in whatever order, a session knows what it was told and nothing else."""
    chosen = random.Random(seed)
    walk = Walk([begin(remembering, profile) for profile in PROFILES])
    for _ in range(20):
        talk = chosen.choice(list(walk.words))
        getattr(walk, chosen.choice(STEPS))(talk)
    for talk in walk.words:
        walk.recall(talk)
