"""The HTTP side: requests as a client sends them, and responses as it gets them."""

import io
import json
import logging
import os
import threading

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from werkzeug.test import create_environ, run_wsgi_app

from tests.support.pictures import part, picture, uri
from wrapper import Gateway, create_app, errors
from wrapper.routes import sse
from wrapper.routes.sse import Stream, stream_response
from wrapper.services.events import (
    Acquisition,
    Ended,
    Ending,
    ReasoningDelta,
    Started,
    TextDelta,
    Usage,
)
from wrapper.services.principal import Principal
from wrapper.services.turn import Permissions
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine, answer

pytestmark = pytest.mark.packages

CHAT = "/v1/chat/completions"
KEY = "sk-right"
LIMIT = 32 * 1024 * 1024
USER = {"role": "user", "content": "Hi"}
ASKED = {"messages": [USER]}
DONE = Ended(Ending.DONE, Usage(input=3, output=2), 0.001)
LONG = 3600.0
KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type)]
KINDS = [kind for kind in KINDS if issubclass(kind, errors.ApiError)]


class Server:
    """An app with a scripted engine, and the ways to ask it."""

    def __init__(self, *steps, script=None, **settings):
        self.engine = ScriptedEngine(script or (lambda turn: steps or answer("Hello.")))
        self.app = create_app(Settings(**settings), engine=self.engine)
        self.client = self.app.test_client()

    def post(self, data, content_type="application/json", path=CHAT, **options):
        """Post what is to be sent, a text or what becomes JSON."""
        raw = data if isinstance(data, (str, bytes)) else json.dumps(data)
        return self.client.post(path, data=raw, content_type=content_type, buffered=True, **options)

    def ask(self, headers=None, environ=None, **fields):
        return self.post({**ASKED, **fields}, headers=headers, environ_overrides=environ or {})

    def stream(self, **fields):
        """Return the frames of a streamed answer."""
        return frames_of(self.ask(stream=True, **fields))

    def send(self, stream, **environ):
        """Post a body that is read from *stream*, with just these variables telling of it."""
        variables = create_environ(CHAT, method="POST", content_type="application/json")
        variables.pop("CONTENT_LENGTH", None)
        variables |= {"wsgi.input": stream, **environ}
        body, status, headers = run_wsgi_app(self.app, variables, buffered=True)
        return int(status.split()[0]), json.loads(b"".join(body)), headers


class Unreadable(io.RawIOBase):
    """A body that must not be read."""

    def readable(self):
        return True

    def readinto(self, buffer):
        raise AssertionError("The body was read.")


def frames_of(response):
    """Return the chunks of a stream, parsed, and what is no JSON as it is."""
    assert response.status_code == 200
    frames = response.data.decode().split("\n\n")
    assert frames.pop() == ""
    return [parsed(frame) for frame in frames]


def parsed(frame):
    text = frame.removeprefix("data: ")
    return json.loads(text) if text.startswith("{") else frame


def error_of(response, status):
    """Return the error of a response that has this status and OpenAI's shape."""
    assert response.status_code == status, response.data[:300]
    assert response.mimetype == "application/json"
    assert set(response.json) == {"error"}
    error = response.json["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert error["message"]
    assert isinstance(error["type"], str)
    assert error["param"] is None or isinstance(error["param"], str)
    assert error["code"] is None or isinstance(error["code"], str)
    return error


def nested(depth, opening="[", closing="]"):
    return opening * depth + closing * depth


# Whole answers


def test_completion():
    """A question gets the whole answer, with its cost in a header."""
    server = Server()
    response = server.ask(model="opus", claude={"profile": "plain"})
    assert response.status_code == 200
    assert response.mimetype == "application/json"
    assert response.json["object"] == "chat.completion"
    assert response.json["id"].startswith("chatcmpl-")
    assert response.json["choices"][0]["message"]["content"] == "Hello."
    assert response.headers["x-cost-usd"] == "0.001000000"
    (turn,) = server.engine.turns
    assert (turn.model, turn.profile, turn.messages[0].parts) == ("opus", "plain", ("Hi",))


def test_defaults_of_the_settings():
    """Where a request does not say, the settings' model and profile answer."""
    server = Server(default_model="haiku", default_profile="plain")
    server.ask()
    assert (server.engine.turns[0].model, server.engine.turns[0].profile) == ("haiku", "plain")


def test_unknown_cost():
    """A cost that is not known stands in no header."""
    response = Server(Started("m"), TextDelta("a"), Ended(Ending.DONE, Usage(), None)).ask()
    assert "x-cost-usd" not in response.headers
    assert response.json["usage"]["cost_usd"] is None


def test_ids_are_unique():
    """Each answer has an id of its own."""
    server = Server()
    assert server.ask().json["id"] != server.ask().json["id"]


def test_several_choices():
    """Each choice is a turn of its own, and the usage is that of all."""
    server = Server()
    body = server.ask(n=3).json
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert len(server.engine.turns) == 3
    assert body["usage"]["prompt_tokens"] == 9


@pytest.mark.parametrize("said", ["h\u00e9llo \U0001f600", "a\u2028b\u0085c\n", '"\\'])
def test_any_text(said):
    """Every letter comes and goes unharmed, whole and streamed."""
    server = Server(Started("m"), TextDelta(said), DONE)
    assert server.ask().json["choices"][0]["message"]["content"] == said
    assert server.stream()[1]["choices"][0]["delta"] == {"content": said}
    server.ask(messages=[{"role": "user", "content": said}])
    assert server.engine.turns[-1].messages[0].parts == (said,)


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"]
)
def test_content_types(content_type):
    """JSON is taken with or without a charset."""
    assert Server().post(ASKED, content_type).status_code == 200


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream", "*/*"])
def test_accept_does_not_matter(accept):
    """Whether an answer is streamed is said by the body, never by Accept."""
    server = Server()
    assert server.ask(headers={"Accept": accept}).mimetype == "application/json"
    streamed = server.ask(headers={"Accept": accept}, stream=True)
    assert streamed.mimetype == "text/event-stream"


# Bad input


@pytest.mark.parametrize(
    "raw",
    [
        "",
        " ",
        "{",
        '{"messages":',
        "{'messages': []}",
        '{"messages": [],}',
        "[]",
        '"Hi"',
        "7",
        "null",
        "true",
        '{"messages":[{"role":"user","content":"Hi"}]} x',
        '{"messages":[{"role":"user","content":"a\nb"}]}',
        '{"messages":[{"role":"user","content":"Hi"}],"temperature":NaN}',
        '{"messages":[{"role":"user","content":"Hi"}],"x":Infinity}',
        '{"messages":[{"role":"user","content":"Hi"}],"x":-Infinity}',
        '{"messages":[{"role":"user","content":"Hi"}],"seed":' + "9" * 5000 + "}",
        '\ufeff{"messages":[{"role":"user","content":"Hi"}]}',
        b'{"messages":[{"role":"user","content":"\xff"}]}',
        b'{"messages":[{"role":"user","content":"\xed\xa0\x80"}]}',
        json.dumps(ASKED).encode("utf-16"),
        '{"messages":[{"role":"user","content":"\\ud800"}]}',
        '{"messages":[{"role":"user","content":"\\uDC00\\uD800"}]}',
        '{"messages":[{"role":"user","content":"Hi"}],"x":{"\\udfff":1}}',
        nested(50_000),
        nested(50_000, '{"a":', "}").replace("{}", "{1}"),
        '{"messages":' + nested(50_000) + "}",
        '{"\\ud800":' + nested(400) + "}",
    ],
    ids=lambda raw: repr(raw[:40]),
)
def test_no_json_object(raw):
    """A body that is no JSON object, to the letter, is refused before anything is asked."""
    server = Server()
    error = error_of(server.post(raw), 400)
    assert (error["type"], error["param"]) == ("invalid_request_error", None)
    assert server.engine.turns == []


@pytest.mark.parametrize(
    ("raw", "param"),
    [
        ('{"model":"a","messages":[],"model":"b"}', "model"),
        ('{"messages":[{"role":"user","content":"a","role":"user"}]}', "messages.0.role"),
        (
            '{"messages":[{"role":"user","content":[{"text":1,"text":1}]}]}',
            "messages.0.content.0.text",
        ),
        (
            '{"tools":[{"function":{"parameters":{"properties":{"a":1,"a":1}}}}]}',
            "tools.0.function.parameters.properties.a",
        ),
        ('{"a":{"b":1,"\\u0062":2}}', "a.b"),
        ('{"a":{"b":1,"b":2},"a":{}}', "a"),
        ('{"":1,"":2}', ""),
    ],
)
def test_a_name_that_stands_twice(raw, param):
    """A name that an object has twice is refused by its path: readers differ in what it means."""
    server = Server()
    error = error_of(server.post(raw), 400)
    assert (error["code"], error["param"]) == ("duplicate_name", param)
    assert server.engine.turns == []


def test_a_name_that_stands_twice_in_much():
    """The path of a repeated name is not searched for without end."""
    names = ",".join(f'"{number}":[]' for number in range(60_000))
    error = error_of(Server().post('{"a":{"b":{' + names + ',"0":1}}}'), 400)
    assert error["code"] == "duplicate_name"


@pytest.mark.parametrize("raw", ['"\\ud83d\\ude00"', '"\\\\ud800"', '"a\\u0000b"'])
def test_good_escapes(raw):
    """Escapes that make text are no lone surrogates."""
    server = Server()
    response = server.post('{"messages":[{"role":"user","content":' + raw + "}]}")
    assert response.status_code == 200
    assert server.engine.turns[0].messages[0].parts == (json.loads(raw),)


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": None}, "messages", "missing_required_parameter"),
        ({"messages": "Hi"}, "messages", "invalid_type"),
        ({"messages": ["Hi"]}, "messages.0", "invalid_type"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, "messages.0.role", "invalid_value"),
        ({"messages": [USER, {"role": 7, "content": "a"}]}, "messages.1.role", "invalid_type"),
        ({"messages": [{"content": "a"}]}, "messages.0.role", "missing_required_parameter"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages.0.content", "invalid_type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 7}]}]},
            "messages.0.content.0.text",
            "invalid_type",
        ),
        ({"model": ""}, "model", "invalid_value"),
        ({"stream": 1}, "stream", "invalid_type"),
        ({"n": 0}, "n", "invalid_value"),
        ({"tools": [{"type": "custom"}]}, "tools.0.type", "invalid_value"),
        ({"claude": {"profile": "x"}}, "claude.profile", "invalid_value"),
        ({"reasoning_effort": "low", "top_p": 0.5}, "top_p", "unsupported_value"),
        ({"temperature": 10**400}, "temperature", "invalid_value"),
    ],
    ids=lambda value: repr(value)[:40],
)
@pytest.mark.parametrize("stream", [False, True])
def test_bad_requests(fields, param, code, stream):
    """A mistake is told by the path to it, before anything is asked, streamed or not."""
    server = Server()
    error = error_of(server.ask(**{"stream": stream, **fields}), 400)
    assert (error["param"], error["code"]) == (param, code)
    assert param in error["message"]
    assert server.engine.turns == []


@pytest.mark.parametrize("depth", range(800, 1000, 4))
def test_deep_values(depth):
    """However deeply a value in a wrong place is nested, it is a mistake and no crash."""
    part = '{"type":' + nested(depth) + "}"
    raw = '{"messages":[{"role":"user","content":[' + part + "]}]}"
    assert error_of(Server().post(raw), 400)["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"]
)
def test_wrong_content_type(content_type):
    """A body that is not sent as JSON is refused, with what to send."""
    server = Server()
    error = error_of(server.post(ASKED, content_type), 415)
    assert error["code"] == "unsupported_media_type"
    assert "application/json" in error["message"]
    assert server.engine.turns == []


def test_too_long_by_its_length():
    """A body that says it is far over 32 MiB is refused unread."""
    server = Server()
    status, body, _ = server.send(Unreadable(), CONTENT_LENGTH=str(2 * LIMIT))
    assert (status, body["error"]["code"]) == (413, "request_too_large")
    assert "32 MiB" in body["error"]["message"]
    assert server.engine.turns == []


CHUNKED = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}


@pytest.mark.parametrize("how", [CHUNKED, {"CONTENT_LENGTH": str(LIMIT + 1)}])
@pytest.mark.parametrize("padding", [b" ", b"x"])
def test_too_long(padding, how):
    """A body over 32 MiB is refused, with its length or in chunks, and never cut off."""
    server = Server()
    raw = json.dumps(ASKED).encode().ljust(LIMIT + 1, padding)
    status, body, _ = server.send(io.BytesIO(raw), **how)
    assert (status, body.get("error", {}).get("code")) == (413, "request_too_large")
    assert server.engine.turns == []


@pytest.mark.parametrize("how", [CHUNKED, {"CONTENT_LENGTH": str(LIMIT)}])
def test_just_short_enough(how):
    """A body of 32 MiB is taken, with its length or in chunks."""
    raw = json.dumps(ASKED).encode().ljust(LIMIT)
    status, body, _ = Server().send(io.BytesIO(raw), **how)
    assert (status, body["object"]) == (200, "chat.completion")


def test_body_that_breaks_off():
    """A body that ends before its length is refused, and nothing is asked."""
    server = Server()
    raw = json.dumps(ASKED).encode()
    status, body, _ = server.send(io.BytesIO(raw), CONTENT_LENGTH=str(len(raw) + 5))
    assert (status, body["error"]["code"]) == (408, "request_cut")
    assert server.engine.turns == []


@pytest.mark.parametrize("how", [{"CONTENT_LENGTH": "500"}, CHUNKED])
def test_body_that_cannot_be_read(how):
    """A body whose sending fails half way is told so, and is no fault of the gateway's."""

    class Torn(io.BytesIO):
        def read(self, size=-1):
            raise OSError("no more data")

        readinto = read

    server = Server()
    status, body, _ = server.send(Torn(), **how)
    assert (status, body["error"]["code"]) == (408, "request_cut")
    assert server.engine.turns == []


def test_body_that_is_malformed():
    """A body that the server cannot decode is the client's fault, whatever the server raises."""

    class Malformed(io.BytesIO):
        def read(self, size=-1):
            raise LookupError("no chunk")

        readinto = read

    server = Server()
    status, body, _ = server.send(Malformed(), **CHUNKED)
    assert (status, body["error"]["code"]) == (400, "malformed_request")
    assert server.engine.turns == []


@pytest.mark.parametrize("path", ["/v1//chat/completions", "//v1/chat///completions"])
def test_doubled_slashes(path):
    """Doubled slashes are served as single ones, once the key is checked."""
    server = Server(api_key=KEY)
    sent = {"environ_overrides": {"PATH_INFO": path}}
    error_of(server.post(ASKED, **sent), 401)
    assert server.post(ASKED, **sent, headers={"x-api-key": KEY}).status_code == 200


@pytest.mark.parametrize(("path", "status"), [("///health", 200), ("//evil.example//", 404)])
def test_doubled_slashes_at_the_root(path, status):
    """At the root, too, there is an answer and no redirect."""
    response = Server().client.get("/", environ_overrides={"PATH_INFO": path})
    assert response.status_code == status
    assert response.mimetype == "application/json"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("POST", "/v1"),
        ("GET", "/v1/nothing"),
        ("POST", f"{CHAT}/x"),
        ("GET", "/chat"),
    ],
)
def test_unknown_url(method, path):
    """A path that nothing is at is told in OpenAI's shape."""
    error = error_of(Server().client.open(path, method=method), 404)
    assert error["code"] == "unknown_url"
    assert path in error["message"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", CHAT, {"POST", "OPTIONS"}),
        ("DELETE", CHAT, {"POST", "OPTIONS"}),
        ("POST", "/health", {"GET", "HEAD", "OPTIONS"}),
        ("PUT", "/v1/health", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_wrong_method(method, path, allowed):
    """A method that a path does not take is refused, with those that it takes."""
    response = Server().client.open(path, method=method)
    assert error_of(response, 405)["code"] == "method_not_supported"
    assert set(response.headers["Allow"].split(", ")) == allowed


# Errors of the engine


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_every_error(kind, stream):
    """An error before the answer begins is a status in OpenAI's shape, streamed or not."""
    server = Server(kind("Why."))
    error = error_of(server.ask(stream=stream), kind.status)
    assert error == kind("Why.").body()["error"]
    assert server.engine.running == 0


def test_headers_of_errors():
    """An error's headers tell the client's library what to do next."""
    headers = Server(errors.RateLimited("Slow.", retry_after=5, retry=True)).ask().headers
    assert (headers["Retry-After"], headers["x-should-retry"]) == ("5", "true")


@pytest.mark.parametrize("stream", [False, True])
def test_crash(stream):
    """A fault of our own is told without its details, by the request's id, and not retried."""
    server = Server(KeyError("a secret"))
    response = server.ask(stream=stream, headers={"x-request-id": "req-7"})
    error = error_of(response, 500)
    assert (error["type"], error["code"]) == ("server_error", "internal_error")
    assert "secret" not in error["message"]
    assert "req-7" in error["message"]
    assert response.headers["x-should-retry"] == "false"


def test_crash_is_logged(caplog):
    """The log has the details that the client does not get."""
    with caplog.at_level(logging.ERROR):
        Server(KeyError("a secret")).ask(headers={"x-request-id": "req-7"})
    assert "req-7" in caplog.text
    assert "a secret" in caplog.text


@pytest.mark.parametrize("stream", [False, True])
def test_error_after_text(stream):
    """A whole answer that breaks off is a status; of its text nothing is told."""
    server = Server(Started("m"), TextDelta("Half"), errors.Overloaded("Busy."))
    if stream:
        assert server.stream()[-1] == errors.Overloaded("Busy.").body()
    else:
        assert error_of(server.ask(), 503)["message"] == "Busy."
    assert server.engine.running == 0


def test_time_limit():
    """A turn past its limit is ended, with 504 and no retry."""
    server = Server(0.01, Started("m"), LONG, max_timeout=1)
    response = server.ask()
    assert error_of(response, 504)["code"] == "timeout"
    assert response.headers["x-should-retry"] == "false"
    assert server.engine.running == 0


def test_capacity():
    """Turns that do not fit and may not wait get 429 at once, and nothing is asked for them."""
    server = Server(Started("m"), LONG, max_concurrent_turns=2, max_queue=0)
    running = server.client.post(CHAT, json={**ASKED, "stream": True})
    response = server.ask(n=2)
    running.close()
    assert error_of(response, 429)["code"] == "rate_limit_exceeded"
    assert response.headers["Retry-After"] == "1"
    assert len(server.engine.turns) == 1


def test_more_than_the_capacity():
    """Turns that never fit are a 400 that names n, and nothing is asked for them."""
    server = Server(max_concurrent_turns=2)
    error = error_of(server.ask(n=3), 400)
    assert (error["param"], "MAX_CONCURRENT_TURNS" in error["message"]) == ("n", True)
    assert server.engine.turns == []


@pytest.mark.parametrize("step", [TextDelta("a"), errors.Overloaded("Busy."), KeyError("x")])
@pytest.mark.parametrize("stream", [False, True])
def test_places_are_given_back(step, stream):
    """However a request ends, its place is free for the next."""
    server = Server(Started("m"), step, DONE, max_concurrent_turns=1)
    statuses = [server.ask(stream=stream).status_code for _ in range(3)]
    assert 429 not in statuses
    assert len(server.engine.turns) == 3


@pytest.mark.parametrize("stream", [False, True])
def test_client_gone(stream):
    """When the client has left its turn is ended, and its place given back."""
    server = Server(Started("m"), LONG, max_concurrent_turns=1)
    reading, writing = os.pipe()
    with open(reading, "rb") as connection:
        os.close(writing)
        response = server.ask(stream=stream, environ={"werkzeug.socket": connection})
    assert error_of(response, 408)["code"] == "client_gone"
    assert server.engine.running == 0


def test_client_leaves_a_stream():
    """A stream whose reader has left just ends, without a word, and its turn with it."""
    server = Server(Started("m"), LONG)
    reading, writing = os.pipe()
    with open(reading, "rb") as connection:
        response = server.client.post(
            CHAT, json={**ASKED, "stream": True}, environ_overrides={"werkzeug.socket": connection}
        )
        assert server.engine.running == 1
        os.close(writing)
        (role,) = frames_of(response)
    assert role["choices"][0]["finish_reason"] is None
    assert server.engine.running == 0


def test_stream_that_nobody_reads():
    """A stream that is closed before its end ends its turn and gives its place back."""
    server = Server(Started("m"), LONG, max_concurrent_turns=1)
    response = server.client.post(CHAT, json={**ASKED, "stream": True})
    assert server.engine.running == 1
    response.close()
    assert server.engine.running == 0
    again = server.client.post(CHAT, json={**ASKED, "stream": True})
    assert again.status_code == 200
    again.close()


@pytest.fixture
def full():
    """A server whose one place is taken."""
    server = Server(Started("m"), LONG, max_concurrent_turns=1)
    running = server.client.post(CHAT, json={**ASKED, "stream": True})
    yield server
    running.close()


def test_client_leaves_while_it_waits(full):
    """Who leaves before there is a place for its turn gets none, and nothing is asked for it."""
    reading, writing = os.pipe()
    with open(reading, "rb") as connection:
        threading.Timer(0.1, os.close, [writing]).start()
        response = full.ask(environ={"werkzeug.socket": connection})
    assert error_of(response, 408)["code"] == "client_gone"
    assert len(full.engine.turns) == 1


def test_shutdown_while_it_waits(full):
    """Who waits for a place when the gateway is told to stop is told so, and to ask again."""
    told = iter([False])  # when it is asked for, and shutting down from then on
    full.app.extensions["wrapper"].draining = lambda: next(told, True)
    response = full.ask()
    assert error_of(response, 503)["code"] == "unavailable"
    assert response.headers["Retry-After"] == "1"
    assert len(full.engine.turns) == 1


@pytest.mark.parametrize(
    ("sent", "led"),
    [("@elsewhere", "@elsewhere"), (None, None), ("@other", None), ("/internal", None)],
)
def test_shutdown_with_another_gateway(sent, led):
    """What is not begun at shutdown an nginx takes elsewhere that has said so, and nowhere else."""
    server = Server()
    server.app.extensions["wrapper"].draining = lambda: True
    response = server.ask(headers={"X-Elsewhere": sent} if sent else {})
    assert error_of(response, 503)["code"] == "unavailable"
    assert response.headers.get("X-Accel-Redirect") == led


@pytest.mark.parametrize("kind", [errors.Unavailable, errors.Overloaded])
def test_nothing_else_goes_elsewhere(kind):
    """An error of a turn that was begun is its client's, whatever its status."""
    response = Server(kind("Why.")).ask(headers={"X-Elsewhere": "@elsewhere"})
    assert error_of(response, 503)
    assert "X-Accel-Redirect" not in response.headers


def test_timing():
    """An answer tells what its parts took: a whole one all, a stream what is known at its begin."""
    had = Started("m", had=Acquisition("warm", 0.001, 0.02))
    server = Server(had, TextDelta("a"), 0.05, DONE)
    for stream, names in ((False, ["first_token", "total"]), (True, ["first_token"])):
        told = server.ask(stream=stream).headers["Server-Timing"]
        parts = [part.split(";") for part in told.split(", ")]
        assert [part[0] for part in parts] == ["queue", "lease", "configure", *names]
        assert parts[1] == ["lease", "dur=1.0", "desc=warm"]
        took = {part[0]: float(part[1].removeprefix("dur=")) for part in parts}
        assert took.get("total", 1000) > 50 > took["first_token"]


@pytest.mark.parametrize("stream", [False, True])
def test_timing_of_an_error(stream):
    """An error tells what its parts took, too; a request that is none has no parts."""
    server = Server(errors.Overloaded("Busy."))
    told = server.ask(stream=stream).headers["Server-Timing"]
    assert [part.partition(";")[0] for part in told.split(", ")] == ["queue", "total"]
    assert "Server-Timing" not in server.ask(messages="?").headers


def test_timing_of_a_refusal(full):
    """Who waited in vain is told for how long."""
    full.app.extensions["wrapper"].admission._patience = 0.1
    response = full.ask()
    error_of(response, 429)
    waited = response.headers["Server-Timing"].split(", ")[0]
    assert 100 <= float(waited.removeprefix("queue;dur=")) < 5000


@pytest.mark.parametrize("begun", [False, True])
def test_shutdown(begun):
    """At shutdown a turn that outlasts its grace is ended, with 503 or an error event."""
    steps = [Started("m")] if begun else []
    server = Server(*steps, LONG, graceful_timeout=0)
    gateway = server.app.extensions["wrapper"]
    told = iter([False])  # when it is asked for, and shutting down from then on
    gateway.draining = lambda: next(told, True)
    response = server.ask(stream=True)
    if begun:
        assert frames_of(response)[-1]["error"]["code"] == "unavailable"
    else:
        assert error_of(response, 503)["code"] == "unavailable"
    assert server.engine.running == 0


def test_no_new_turns_at_shutdown():
    """While it shuts down the gateway begins no turn: a client is to ask again, elsewhere."""
    server = Server()
    server.app.extensions["wrapper"].draining = lambda: True
    response = server.ask()
    assert error_of(response, 503)["code"] == "unavailable"
    assert response.headers["Retry-After"] == "1"
    assert server.engine.turns == []


@pytest.mark.parametrize("path", ["/ready", "/v1/ready"])
def test_ready(path):
    """Readiness is told without a key, and is over as soon as the gateway shuts down."""
    server = Server(api_key=KEY)
    response = server.client.get(path)
    assert (response.status_code, response.json) == (200, {"status": "ready"})
    server.app.extensions["wrapper"].draining = lambda: True
    response = server.client.get(path)
    assert (response.status_code, response.json) == (503, {"status": "draining"})


# Streams


def test_stream():
    """A stream is a role, the deltas, a reason to finish and [DONE], each an event of a line."""
    response = Server(Started("m"), TextDelta("Good "), TextDelta("day."), DONE).ask(stream=True)
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
    """A stream's headers keep caches and proxies from holding it back."""
    headers = Server().ask(stream=True).headers
    assert headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert headers["Cache-Control"] == "no-store, no-transform"
    assert headers["X-Accel-Buffering"] == "no"
    assert "Content-Length" not in headers


def test_stream_with_usage():
    """Usage, where asked for, comes after all choices and before [DONE]."""
    *chunks, usage, done = Server().stream(stream_options={"include_usage": True})
    assert all(chunk["usage"] is None and chunk["choices"] for chunk in chunks)
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 5
    assert done == "data: [DONE]"


def test_stream_of_several_choices():
    """Several choices begin in the order of their indices, and each one finishes."""
    *chunks, done = Server().stream(n=2)
    choices = [chunk["choices"][0] for chunk in chunks]
    assert [choice["index"] for choice in choices[:2]] == [0, 1]
    assert all(choice["delta"]["role"] == "assistant" for choice in choices[:2])
    finished = [choice["index"] for choice in choices if choice["finish_reason"] == "stop"]
    assert sorted(finished) == [0, 1]
    assert done == "data: [DONE]"


def test_reasoning_in_a_stream():
    """Reasoning comes in deltas of its own."""
    frames = Server(Started("m"), ReasoningDelta("hm"), TextDelta("a"), DONE).stream()
    assert frames[1]["choices"][0]["delta"] == {"reasoning_content": "hm"}


@pytest.mark.parametrize("error", [errors.Overloaded("Busy."), KeyError("secret")])
def test_error_in_mid_stream(error):
    """An error in mid-stream is the last event: neither a reason to finish nor [DONE] follows."""
    response = Server(Started("m"), TextDelta("a"), error).ask(stream=True)
    *chunks, last = frames_of(response)
    assert set(last) == {"error"}
    assert set(last["error"]) == {"message", "type", "param", "code"}
    assert all(chunk["choices"][0]["finish_reason"] is None for chunk in chunks)
    assert b"[DONE]" not in response.data
    assert b"secret" not in response.data


def test_crash_in_mid_stream_is_logged(caplog):
    """A fault of our own in mid-stream is told by the request's id, and logged."""
    server = Server(Started("m"), KeyError("a secret"))
    response = server.ask(stream=True, headers={"x-request-id": "req-7"})
    assert "req-7" in frames_of(response)[-1]["error"]["message"]
    assert "a secret" in caplog.text


@pytest.mark.parametrize(
    ("heartbeat", "kept_alive"),
    [(0.0, [": ping", ": ping", {"a": 1}, ": ping", {"b": 2}]), (1000.0, [{"a": 1}, {"b": 2}])],
)
def test_heartbeats(heartbeat, kept_alive):
    """Silence is broken by a comment, at the beginning at once and then when it lasts."""
    chunks = iter([None, None, {"a": 1}, None, {"b": 2}])
    with Flask("app").test_request_context():
        response = stream_response(Stream(chunks, lambda: None, {}), heartbeat)
    first = [": ping"] if heartbeat else []
    assert frames_of(response) == [*first, *kept_alive, "data: [DONE]"]


@pytest.mark.parametrize(
    "chunks", [[], [{"a": 1}], [errors.Overloaded("Busy.")], [errors.ClientGone("Gone.")]]
)
def test_streams_close(chunks):
    """Whatever ends a stream, what it rests on is closed."""
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
    """A stream that was never read is closed with its response."""
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


@hypothesis_settings(deadline=None)
@given(st.dictionaries(st.text(), JSON, max_size=3))
def test_one_event_one_line(data):
    """Whatever an event holds, it is one line of JSON and an empty line."""
    event = sse.encode(data)
    assert event.count(b"\n") == 2
    assert b"\r" not in event
    assert event.endswith(b"\n\n")
    assert event.startswith(b"data: ")
    assert json.loads(event.removeprefix(b"data: ")) == data


# Ids


def every_response():
    """Yield a response of each kind."""
    server = Server(api_key=KEY)
    crashing = Server(KeyError("x"))
    yield Server().ask
    yield lambda **options: Server().ask(stream=True, **options)
    yield lambda **options: crashing.ask(**options)
    yield lambda **options: server.ask(**options)
    yield lambda **options: Server().client.post(CHAT, data="{", **options)
    yield lambda **options: server.client.get("/v1/nothing", **options)
    yield lambda **options: server.client.get(CHAT, **options)
    yield lambda **options: server.client.options(CHAT, **options)
    yield lambda **options: server.client.get("/health", **options)


@pytest.mark.parametrize("index", range(9))
def test_every_response_has_an_id(index):
    """Every response bears a request id: a new one, or the client's own."""
    ask = list(every_response())[index]
    ids = [ask().headers["x-request-id"] for _ in range(2)]
    assert all(one.startswith("req_") for one in ids)
    assert ids[0] != ids[1]
    assert ask(headers={"X-Request-Id": "my-id_7"}).headers["x-request-id"] == "my-id_7"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, "id;drop", "\u00e9", "a.b"])
def test_bad_ids(sent):
    """An id that might harm a log or a header is not echoed."""
    assert Server().ask(headers={"x-request-id": sent}).headers["x-request-id"].startswith("req_")


# Who may call


@pytest.mark.parametrize("path", [CHAT, f"{CHAT}?x=1"])
@pytest.mark.parametrize("sent", [{}, {"Authorization": "Bearer wrong"}, {"x-api-key": "wrong"}])
def test_key_needed(path, sent):
    """Without the right key nothing is answered, and nothing asked."""
    server = Server(api_key=KEY)
    response = server.post(ASKED, path=path, headers=sent)
    assert error_of(response, 401)["code"] == "invalid_api_key"
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert KEY.encode() not in response.data
    assert server.engine.turns == []


@pytest.mark.parametrize("sent", [{"Authorization": f"bearer {KEY}"}, {"X-Api-Key": KEY}])
def test_right_key(sent):
    """The right key is answered, from any host."""
    response = Server(api_key=KEY).ask(headers={**sent, "Host": "gateway.example"})
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("settings", "status", "environ"),
    [
        ({"api_key": KEY}, 401, {}),
        ({"api_key": KEY}, 401, {"HTTP_AUTHORIZATION": "Bearer wr\u00f6ng"}),
        ({}, 403, {"HTTP_HOST": "evil.example"}),
        ({}, 403, {"HTTP_ORIGIN": "https://evil.example"}),
    ],
)
def test_checked_before_the_body(settings, status, environ):
    """Who is calling is checked before the body is read."""
    got, body, _ = Server(**settings).send(Unreadable(), CONTENT_LENGTH="100", **environ)
    assert got == status
    assert set(body["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "sent",
    [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}],
)
def test_foreign_callers(sent):
    """Without a key, what a foreign web page may have sent is refused."""
    server = Server()
    assert error_of(server.ask(headers=sent), 403)["code"] == "permission_denied"
    assert server.engine.turns == []


@pytest.mark.parametrize("sent", [{"Host": "127.0.0.1:8000"}, {"Origin": "http://localhost:3000"}])
def test_local_callers(sent):
    """Without a key, this machine's own pages are answered."""
    assert Server().ask(headers=sent).status_code == 200


@pytest.mark.parametrize("path", ["/health", "/v1/health"])
@pytest.mark.parametrize("settings", [{}, {"api_key": KEY}])
def test_health(path, settings):
    """Health is told without a key, at the root and under the prefix."""
    client = Server(max_concurrent_turns=3, **settings).client
    response = client.get(path)
    parts = {name: {"status": "ok"} for name in ("machine", "sessions")}
    turns = {"running": 0, "waiting": 0, "places": 3}
    report = {"status": "ok", "turns": turns, "usage": {"status": "ok", "unbooked": 0}, **parts}
    assert (response.status_code, response.json) == (200, report)
    assert client.head(path).status_code == 200


class _Failing(ScriptedEngine):
    def __init__(self, status):
        super().__init__()
        self.status = status

    def health(self):
        return {"status": self.status, "pools": {}}


@pytest.mark.parametrize(("status", "code"), [("ok", 200), ("starting", 200), ("failing", 503)])
def test_failing_health(status, code):
    """Only an engine that can serve nobody makes health a failure, with its report."""
    client = create_app(Settings(), engine=_Failing(status)).test_client()
    response = client.get("/health")
    report = json.loads(response.data)
    assert (response.status_code, report["status"], report["pools"]) == (code, status, {})


# Pictures


def shown(*parts, **fields):
    return {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Look"}, *parts]}]
    } | fields


@pytest.mark.parametrize("stream", [False, True])
def test_resized_images(stream):
    """Pictures that the model gets smaller are named in a header, each by its path."""
    small, large = part(picture("png", 1000, 2)), part(picture("jpeg", 1001, 2), "jpeg")
    response = Server().ask(**shown(large, small, large), stream=stream)
    assert response.status_code == 200
    told = response.headers["x-resized-images"]
    assert told == "messages.0.content.1, messages.0.content.3"
    assert "x-resized-images" not in Server().ask(**shown(small), stream=stream).headers


def test_strict_images():
    """With STRICT_PARAMS a picture that the model would get smaller is refused, by its path."""
    server = Server(strict_params=True)
    assert server.ask(**shown(part(picture("png", 1000, 2)))).status_code == 200
    error = error_of(server.ask(**shown(part(picture("png", 1001, 2)))), 400)
    assert (error["param"], error["code"]) == ("messages.0.content.1", "invalid_image")
    assert len(server.engine.turns) == 1


def test_broken_images():
    """A picture that cannot be read is refused, and the engine is not asked."""
    server = Server()
    error = error_of(server.ask(**shown(part(picture()[:-20]))), 400)
    path = "messages.0.content.1.image_url.url"
    assert (error["param"], error["code"]) == (path, "invalid_image")
    assert server.engine.turns == []


def test_logged_images(caplog):
    """The log of prompts tells of a picture, and does not hold it."""
    caplog.set_level(logging.INFO)
    url = uri(picture())
    Server(log_prompts=True).ask(**shown({"type": "image_url", "image_url": {"url": url}}))
    told = str([vars(record) for record in caplog.records])
    assert "image/png" in told
    assert url[-40:] not in told


# Pages of other origins

APP = "https://app.example"
CORS = {"cors_origins": (APP,)}


def allowed_origin(response):
    return response.headers.get("Access-Control-Allow-Origin")


@pytest.mark.parametrize("settings", [{}, {"api_key": KEY}])
def test_preflight(settings):
    """A preflight is answered with 204, without a key, and allows what a client sends."""
    asked = {
        "Origin": APP,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
    }
    server = Server(**CORS, **settings)
    response = server.client.options(CHAT, headers=asked)
    assert (response.status_code, response.data) == (204, b"")
    assert allowed_origin(response) == APP
    assert "POST" in response.headers["Access-Control-Allow-Methods"]
    assert "x-stainless-os" in response.headers["Access-Control-Allow-Headers"].lower()
    assert server.engine.turns == []


def test_options_without_cors():
    """OPTIONS is answered with 204 also where no origin is allowed, and allows none."""
    response = Server(cors_origins=("none",)).client.options(CHAT, headers={"Origin": APP})
    assert response.status_code == 204
    assert allowed_origin(response) is None


@pytest.mark.parametrize(
    ("steps", "fields", "status"),
    [
        ([], {}, 200),
        ([], {"stream": True}, 200),
        ([], {"n": 0}, 400),
        ([errors.RateLimited("Slow.")], {}, 429),
        ([KeyError("x")], {}, 500),
    ],
)
def test_cors(steps, fields, status):
    """A listed origin may read answers, streams and errors, and the ids in their headers."""
    response = Server(*steps, **CORS).ask(headers={"Origin": APP}, **fields)
    assert response.status_code == status
    assert allowed_origin(response) == APP
    exposed = response.headers["Access-Control-Expose-Headers"].lower()
    assert "x-request-id" in exposed
    assert "x-cost-usd" in exposed


def test_cors_of_a_refusal():
    """A listed origin may also read that its key is missing."""
    response = Server(**CORS, api_key=KEY).ask(headers={"Origin": APP})
    assert response.status_code == 401
    assert allowed_origin(response) == APP


@pytest.mark.parametrize(("path", "status"), [("/v1/nothing", 404), (CHAT, 405)])
def test_cors_of_unknown_urls(path, status):
    """A listed origin may also read that a path or a method is not there."""
    response = Server(**CORS).client.get(path, headers={"Origin": APP})
    assert response.status_code == status
    assert allowed_origin(response) == APP


def test_unlisted_origin():
    """An origin that is not listed may read nothing."""
    response = Server(**CORS, api_key=KEY).ask(
        headers={"Origin": "https://evil.example", "x-api-key": KEY}
    )
    assert allowed_origin(response) is None


def test_every_origin_with_a_key():
    """Where there is a key, pages of all origins may call by default, and no cookies are sent."""
    response = Server(api_key=KEY).ask(headers={"Origin": APP, "x-api-key": KEY})
    assert allowed_origin(response) == "*"
    assert "Access-Control-Allow-Credentials" not in response.headers
    closed = Server(api_key=KEY, cors_origins=("none",))
    assert allowed_origin(closed.ask(headers={"Origin": APP, "x-api-key": KEY})) is None


@pytest.mark.parametrize(
    ("origins", "key", "allowed"),
    [((), "", None), ((APP,), "", "true"), ((), KEY, "true"), (("none",), KEY, None)],
)
def test_private_network(origins, key, allowed):
    """A page may ask for a private network's gateway where its origin is allowed."""
    asked = {
        "Origin": APP,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Private-Network": "true",
    }
    server = Server(cors_origins=origins, api_key=key)
    response = server.client.options(CHAT, headers=asked)
    assert response.headers.get("Access-Control-Allow-Private-Network") == allowed


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://sub.example.com", True),
        ("https://xexample.com.evil.test", False),
        ("http://[::1]:3000", True),
        ("http://[::1]:3001", False),
    ],
)
def test_cors_patterns(origin, allowed):
    """A star is a host's first label, and nothing else has a meaning of its own."""
    server = Server(cors_origins=("https://*.example.com", "http://[::1]:3000"), api_key=KEY)
    response = server.ask(headers={"Origin": origin, "x-api-key": KEY})
    assert allowed_origin(response) == (origin if allowed else None)


def test_star_needs_a_key():
    """All origins may read only where there is a key; else the setting is out of force."""
    asked = {"Origin": "http://localhost:3000", "x-api-key": KEY}
    assert allowed_origin(Server(cors_origins=("*",)).ask(headers=asked)) is None
    with_key = Server(cors_origins=("*",), api_key=KEY).ask(headers=asked)
    assert allowed_origin(with_key) is not None


def test_star_without_a_key_is_told(caplog):
    """The log tells an operator why a star is out of force."""
    Server(cors_origins=("*",))
    assert "needs an API_KEY" in caplog.text


# Another's app


@pytest.fixture
def mounted():
    """An app with a page of its own, and a gateway under a prefix."""
    app = Flask("other")
    app.get("/own")(lambda: "own")
    gateway = Gateway(Settings(), engine=ScriptedEngine())
    gateway.init_app(app, url_prefix="/ai")
    return app.test_client()


def test_mounted(mounted):
    """A gateway answers under the prefix that an app gives it, errors included."""
    assert mounted.post("/ai/chat/completions", json=ASKED).status_code == 200
    error_of(mounted.post("/ai/chat/completions", json={}), 400)
    assert mounted.get("/ai/health").status_code == 200


def test_mounting_changes_nothing_else(mounted):
    """The app's own pages, and its own errors, stay as they are."""
    own, missing = mounted.get("/own"), mounted.get("/nothing")
    assert (own.text, missing.status_code, missing.mimetype) == ("own", 404, "text/html")
    assert "x-request-id" not in own.headers


def test_doubled_slashes_of_others(mounted):
    """Only the gateway's own paths are changed, not those of the app."""
    assert mounted.post("/ai//chat/completions", json=ASKED).status_code == 200
    redirect = mounted.get("/", environ_overrides={"PATH_INFO": "/own//x"})
    assert redirect.mimetype == "text/html"


def test_gateways_do_not_mix():
    """Two gateways in one process have nothing in common."""
    one, other = Server(api_key=KEY), Server(default_model="haiku")
    assert one.ask().status_code == 401
    assert other.ask().status_code == 200
    assert (one.engine.turns, other.engine.turns[0].model) == ([], "haiku")


def test_starting_and_closing():
    """Starting a gateway starts its engine, and closing it closes that; twice is harmless."""
    engine = ScriptedEngine()
    gateway = Gateway(Settings(), engine=engine)
    assert not engine.started
    gateway.start()
    assert engine.started
    gateway.close()
    gateway.close()
    assert not engine.started


# Who is calling


def test_own_authentication():
    """A shop says itself who is calling, and the engine and the log hear of that."""
    callers = {"1": Principal("carol", profile="plain"), "2": Principal("dave", models=())}
    app = Flask("shop")
    engine = ScriptedEngine()
    gateway = Gateway(
        Settings(), engine=engine, authenticate=lambda asked: callers.get(asked.cookies.get("id"))
    )
    gateway.init_app(app, url_prefix="/ai/v1")
    client = app.test_client()
    error_of(client.post("/ai/v1/chat/completions", json=ASKED), 401)
    client.set_cookie("id", "1")
    assert client.post("/ai/v1/chat/completions", json=ASKED).status_code == 200
    assert engine.turns[0].principal is callers["1"]
    assert engine.turns[0].profile == "plain"
    beyond = {**ASKED, "claude": {"profile": "agent"}}
    error_of(client.post("/ai/v1/chat/completions", json=beyond), 403)
    client.set_cookie("id", "2")
    assert json.loads(client.get("/ai/v1/models").data)["data"] == []
    error_of(client.get("/ai/v1/models/sonnet"), 403)
    assert client.get("/ai/v1/health").status_code == 200
    assert len(engine.turns) == 1


def test_authentication_comes_first():
    """Whom a shop does not know is told so before the body is read."""
    app = Flask("shop")
    Gateway(Settings(), engine=ScriptedEngine(), authenticate=lambda asked: None).init_app(app)
    server = Server()
    server.app = app
    status, body, _ = server.send(io.BufferedReader(Unreadable()), CONTENT_LENGTH="100")
    assert (status, body["error"]["code"]) == (401, "invalid_api_key")


def test_claude_knobs():
    """What a request asks for of Claude Code reaches the engine; null means it was not asked."""
    server = Server()
    asked = {
        "allowed_tools": ["Read", "Bash"],
        "disallowed_tools": ["Bash(rm:*)"],
        "permission_mode": "plan",
        "max_turns": 3,
    }
    assert server.ask(claude=asked).status_code == 200
    permissions = server.engine.turns[0].permissions
    assert (permissions.mode, permissions.max_turns) == ("plan", 3)
    assert "Write" in permissions.deny
    assert "Read" not in permissions.deny
    assert server.ask(claude=dict.fromkeys(asked)).status_code == 200
    assert server.engine.turns[1].permissions == Permissions()


@pytest.mark.parametrize(
    ("claude", "param"),
    [
        ({"allowed_tools": "Read"}, "claude.allowed_tools"),
        ({"allowed_tools": [5]}, "claude.allowed_tools.0"),
        ({"disallowed_tools": {}}, "claude.disallowed_tools"),
        ({"disallowed_tools": ["nothing"]}, "claude.disallowed_tools.0"),
        ({"permission_mode": "yolo"}, "claude.permission_mode"),
        ({"max_turns": 0}, "claude.max_turns"),
        ({"max_turns": "3"}, "claude.max_turns"),
        ({"max_turn": 3}, "claude.max_turn"),
        ({"profile": "plain", "allowed_tools": ["Read"]}, "claude.allowed_tools"),
    ],
)
def test_wrong_knobs(claude, param):
    """A knob that is none, or turned wrongly, is named."""
    assert error_of(Server().ask(claude=claude), 400)["param"] == param
