"""Sessions at their model's context limit: an error, or a summary with claude.compact."""

from __future__ import annotations

import http.client
import json

import pytest

from tests.support.server import DEADLINE, MODEL

WORDS = "word " * 300
SUMMARY = "This session is being continued"


class Session:
    """A session of one profile."""

    def __init__(self, gateway, profile):
        self.gateway, self.profile = gateway, profile
        self.path = f"/v1/sessions/long-{profile}"

    def body(self, messages, **more):
        claude = {"profile": self.profile, **more.pop("claude", {})}
        session_id = self.path.rpartition("/")[2]
        body = {"model": MODEL, "messages": messages, "session_id": session_id}
        return {**body, "claude": claude, **more}

    def send(self, messages, **more):
        data = self.gateway.call("POST", "/v1/chat/completions", self.body(messages, **more))
        return data[0], json.loads(data[2])

    def ask(self, text, **more):
        return self.send([{"role": "user", "content": text}], **more)

    def said(self, text, **more):
        status, body = self.ask(text, **more)
        assert status == 200, body
        return body["choices"][0]["message"]["content"]

    def messages(self):
        return json.loads(self.gateway.call("GET", self.path)[2])["messages"]

    def delete(self):
        self.gateway.call("DELETE", self.path)


@pytest.fixture
def limit(upstream):
    """Return a function that sets the model's context window in words, until the test ends."""

    def window(words):
        upstream.window = words

    yield window
    upstream.window = None


@pytest.fixture(params=["plain", "agent"])
def session(request, gateway, limit):
    """A session that is a few words below its model's limit."""
    session = Session(gateway, request.param)
    for number in range(4):
        status, body = session.ask(f"[[say a{number}]] {WORDS}")
        assert status == 200, body
    limit(body["usage"]["prompt_tokens"] + 50)
    yield session
    session.delete()


def test_limit(session):
    """At the limit the answer is OpenAI's 400, and the session stays as it was."""
    before = session.messages()
    status, body = session.ask(f"[[say too much]] {WORDS}")
    assert (status, body["error"]["code"]) == (400, "context_length_exceeded")
    assert session.messages() == before
    assert session.said("[[say short]]") == "short"


def test_compact(session, upstream):
    """With claude.compact Claude Code's summary replaces the history, and the session goes on."""
    upstream.clear()
    status, body = session.ask(f"[[say more]] {WORDS}", claude={"compact": True})
    assert status == 200, body
    assert body["choices"][0]["message"]["content"] == "more"
    # The turn's usage includes the summary.
    done = [recorded for recorded in upstream.requests if recorded.ended == "done"]
    assert body["usage"]["prompt_tokens"] > len(str(done[-1].body["messages"]).split())
    messages = session.messages()
    assert SUMMARY in str(messages[0])
    assert messages[-1] == {"role": "assistant", "content": "more"}
    assert len(messages) < 10

    upstream.clear()
    assert session.said("[[say after]]") == "after"
    (sent,) = (recorded.body["messages"] for recorded in upstream.requests)
    assert SUMMARY in str(sent[0])
    assert "more" in str(sent)


def test_client_leaves(session, upstream):
    """If the client disconnects during the summary, the session stays as it was."""
    before = session.messages()
    upstream.clear()
    connection = http.client.HTTPConnection("127.0.0.1", session.gateway.port, timeout=DEADLINE)
    # The turn itself goes on until the gateway notices that the client has left.
    asked = [{"role": "user", "content": f"[[say more]] [[stall 100]] {WORDS}"}]
    body = json.dumps(session.body(asked, claude={"compact": True}))
    connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
    assert upstream.wait_for(lambda seen: any("CRITICAL" in str(one.body) for one in seen))
    connection.close()
    assert session.said("[[say on]]") == "on"
    assert session.messages()[:-2] == before
    assert session.gateway.at_rest()


def test_short_session(gateway, upstream):
    """A session below the limit is not summarised."""
    session = Session(gateway, "plain")
    for text in ("one", "two"):
        assert session.said(f"[[say {text}]]", claude={"compact": True}) == text
    session.delete()
    assert [len(one.body["messages"]) for one in upstream.requests] == [1, 3]


def test_without_a_session(gateway, upstream):
    """Without a session claude.compact is refused."""
    status, body = gateway.ask("hello", claude={"compact": True})
    assert (status, body["error"]["param"]) == (400, "claude.compact")
    assert not upstream.requests


def test_calls(gateway, upstream, limit):
    """Calls and their results are summarised, except calls whose results are in the request."""
    session = Session(gateway, "plain")
    more = {"tools": [{"type": "function", "function": {"name": "weather"}}]}
    for city in ("Rome", "Bern", "Kyiv", "Lima", "Baku", "Oslo"):
        status, answer = session.ask(f'[[tool weather {{"in": "{city}"}}]] {WORDS}', **more)
        assert status == 200, answer
        (call,) = answer["choices"][0]["message"]["tool_calls"]
        result = {"role": "tool", "tool_call_id": call["id"], "content": f"warm {WORDS}"}
        if city != "Oslo":
            status, body = session.send([result], **more)
            assert status == 200, body
    limit(answer["usage"]["prompt_tokens"] - 50)
    status, answer = session.send([result], claude={"compact": True}, **more)
    session.delete()
    assert status == 200, answer
    sent = upstream.requests[-1].body["messages"]
    assert SUMMARY in str(sent[0])
    assert sent[-2]["content"][-1]["name"] == "weather"
    assert sent[-1]["content"][0]["tool_use_id"] == sent[-2]["content"][-1]["id"]
