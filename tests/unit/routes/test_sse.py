"""Server-sent events: the order of a stream's chunks, its heartbeats, and how it ends."""

import json

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from tests.support.scripted_server import DONE, ScriptedServer, frames_of
from wrapper import errors
from wrapper.routes import sse
from wrapper.routes.sse import Stream, stream_response
from wrapper.services.events import (
    ReasoningDelta,
    Started,
    TextDelta,
)

pytestmark = pytest.mark.packages


def test_stream():
    """A stream has a role, the deltas, a finish reason and [DONE], each an event of one line."""
    response = ScriptedServer(Started("m"), TextDelta("Good "), TextDelta("day."), DONE).ask(
        stream=True
    )
    *chunks, done = frames_of(response)
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "Good "},
        {"content": "day."},
        {},
    ]
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    assert reasons == [None, None, None, "stop"]
    assert done == "data: [DONE]"
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    assert not any("usage" in chunk or "error" in chunk for chunk in chunks)


def test_stream_headers():
    """The headers of a stream keep caches and proxies from buffering it."""
    headers = ScriptedServer().ask(stream=True).headers
    assert headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert headers["Cache-Control"] == "no-store, no-transform"
    assert headers["X-Accel-Buffering"] == "no"
    assert "Content-Length" not in headers


def test_stream_with_usage():
    """With include_usage the usage follows the choices and precedes [DONE]."""
    *chunks, usage, done = ScriptedServer().stream(stream_options={"include_usage": True})
    assert all(chunk["usage"] is None and chunk["choices"] for chunk in chunks)
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 5
    assert done == "data: [DONE]"


def test_stream_of_several_choices():
    """Several choices begin in the order of their indices, and each one finishes."""
    *chunks, done = ScriptedServer().stream(n=2)
    choices = [chunk["choices"][0] for chunk in chunks]
    assert [choice["index"] for choice in choices[:2]] == [0, 1]
    assert all(choice["delta"]["role"] == "assistant" for choice in choices[:2])
    finished = [choice["index"] for choice in choices if choice["finish_reason"] == "stop"]
    assert sorted(finished) == [0, 1]
    assert done == "data: [DONE]"


def test_reasoning_in_a_stream():
    """Reasoning has deltas of its own."""
    frames = ScriptedServer(Started("m"), ReasoningDelta("hm"), TextDelta("a"), DONE).stream()
    assert frames[1]["choices"][0]["delta"] == {"reasoning_content": "hm"}


@pytest.mark.parametrize("error", [errors.Overloaded("Busy."), KeyError("secret")])
def test_error_in_mid_stream(error):
    """An error in mid-stream is the last event; no finish reason and no [DONE] follow."""
    response = ScriptedServer(Started("m"), TextDelta("a"), error).ask(stream=True)
    *chunks, last = frames_of(response)
    assert set(last) == {"error"}
    assert set(last["error"]) == {"message", "type", "param", "code"}
    assert all(chunk["choices"][0]["finish_reason"] is None for chunk in chunks)
    assert b"[DONE]" not in response.data
    assert b"secret" not in response.data


def test_crash_in_mid_stream_is_logged(caplog):
    """An unexpected error in mid-stream is sent with the request's id, and logged."""
    server = ScriptedServer(Started("m"), KeyError("a secret"))
    response = server.ask(stream=True, headers={"x-request-id": "req-7"})
    assert "req-7" in frames_of(response)[-1]["error"]["message"]
    assert "a secret" in caplog.text


@pytest.mark.parametrize(
    ("heartbeat", "kept_alive"),
    [(0.0, [": ping", ": ping", {"a": 1}, ": ping", {"b": 2}]), (1000.0, [{"a": 1}, {"b": 2}])],
)
def test_heartbeats(heartbeat, kept_alive):
    """A comment is sent when a stream begins with silence, and then after each heartbeat."""
    chunks = iter([None, None, {"a": 1}, None, {"b": 2}])
    with Flask("app").test_request_context():
        response = stream_response(Stream(chunks, lambda: None, {}), heartbeat)
    first = [": ping"] if heartbeat else []
    assert frames_of(response) == [*first, *kept_alive, "data: [DONE]"]


@pytest.mark.parametrize(
    "chunks", [[], [{"a": 1}], [errors.Overloaded("Busy.")], [errors.ClientGone("Gone.")]]
)
def test_streams_close(chunks):
    """However a stream ends, its source is closed."""
    closed = []

    def play():
        for chunk in chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    with Flask("app").test_request_context():
        response = stream_response(Stream(play(), lambda: closed.append(1), {}))
    assert not closed
    assert response.get_data() is not None
    assert closed


def test_unread_streams_close():
    """A stream that is never read is closed with its response."""
    closed = []
    chunks = iter([{"a": 1}])
    with Flask("app").test_request_context():
        response = stream_response(Stream(chunks, lambda: closed.append(1), {}))
    response.close()
    assert closed


JSON = st.recursive(
    st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.text(), JSON, max_size=3))
def test_one_event_one_line(data):
    """Any event is one line of JSON and an empty line."""
    event = sse.CHAT.frame(data)
    assert event.count(b"\n") == 2
    assert b"\r" not in event
    assert event.endswith(b"\n\n")
    assert event.startswith(b"data: ")
    assert json.loads(event.removeprefix(b"data: ")) == data


def test_typed_event():
    """An API whose events have a type names it in a line of its own, and sends no [DONE]."""
    assert sse.TYPED.frame({"type": "a.b", "n": 1}) == b'event: a.b\ndata: {"type":"a.b","n":1}\n\n'
    assert sse.TYPED.end == b""
