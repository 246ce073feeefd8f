"""The smoke test: which answers pass, and which fail."""

from __future__ import annotations

import json
import socket

import pytest

from wrapper import create_app, smoke
from wrapper.errors import Overloaded
from wrapper.services.events import Ended, Ending
from wrapper.services.spent import Usage
from wrapper.settings import Settings
from wrapper.smoke.checks import CHAT
from wrapper.smoke.responses import RESPONSES
from wrapper.testing.engine import ScriptedEngine, answer, raw_answer

KEY = "the-key"
CHUNK = {"id": "1", "object": "chat.completion.chunk"}


class InProcessClient(smoke.Client):
    """A client of an app in this process. *changed* holds answers to replace the app's."""

    def __init__(self, app, changed=None, key=""):
        super().__init__("http://localhost", key)
        self._app = app
        self._changed = changed or {}
        self.requests = []

    def call(self, method, path, body=None):
        self.requests.append((method, path))
        if (method, path) in self._changed:
            status, answer = self._changed[method, path]
            return status, answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        client = self._app.test_client()
        response = client.open(path, method=method, json=body, headers=self._headers, buffered=True)
        return response.status_code, response.data


def counted(turn):
    """Return the steps of an answer whose usage grows with the conversation."""
    if turn.body is not None:
        return raw_answer("OK.")
    return [*answer("OK.")[:-1], Ended(Ending.DONE, Usage(input=len(turn.messages), output=2), 0.0)]


def app(engine=None, **settings):
    return create_app(Settings(**settings), engine=engine or ScriptedEngine(counted))


def lines(capsys):
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def events(*chunks):
    return (
        "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks).encode() + b"data: [DONE]\n\n"
    )


def test_success(capsys):
    """A correct server gets a line for each check, with its milliseconds."""
    assert smoke.run(InProcessClient(app()))
    assert [(line[0], line[1], line[3]) for line in lines(capsys)] == [
        ("ok", name, "ms") for name in smoke.CHECKS
    ]


def test_key_is_sent(capsys):
    """A server with a key passes with that key, and fails without it."""
    assert smoke.run(InProcessClient(app(api_key=KEY), key=KEY))
    assert not smoke.run(InProcessClient(app(api_key=KEY)))
    assert "invalid_api_key" in capsys.readouterr().out


def test_upstream_error(capsys):
    """An error of the model's API fails the checks of the model, with its code and message."""
    engine = ScriptedEngine(lambda turn: [Overloaded("Too much to do.")])
    assert not smoke.run(InProcessClient(app(engine)))
    by_check = {line[1]: line for line in lines(capsys)}
    assert by_check["models"][0] == "ok"
    for check in ("completion", "stream", "responses"):
        assert by_check[check][0] == "FAILED"
        assert by_check[check][4:] == ["status", "503:", "overloaded:", "Too", "much", "to", "do."]


COMPLETION = {"object": "chat.completion", "usage": {"completion_tokens": 1}}
MESSAGE = {"role": "assistant", "content": ""}
ASKED, CREATED = ("POST", CHAT), ("POST", RESPONSES)
BEGUN = {"type": "response.created", "sequence_number": 0}
TEXT = {"output": [{"content": [{"text": "OK."}]}], "usage": {"output_tokens": 1}}
COMPLETED = {"object": "response", "status": "completed", "error": None, **TEXT}
FAILED = {"object": "response", "status": "failed", "error": {"code": "c", "message": "m"}}


def typed(*events):
    """Return a stream of the Responses API. An event's number is its place."""
    numbered = [{"sequence_number": number, **event} for number, event in enumerate(events)]
    return "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in numbered).encode()


def ends(response, *between):
    """Return a stream that ends with *response*."""
    last = {"type": f"response.{response['status']}", "response": response}
    return typed(BEGUN, *between, last)


WRONG = [
    ("health", ("GET", "/health"), 503, {"pools": {"agent": {"error": "no disk"}}}, "no disk"),
    ("health", ("GET", "/health"), 200, {"status": "degraded"}, "degraded"),
    ("health", ("GET", "/health"), 200, [], "AttributeError"),
    ("models", ("GET", "/v1/models"), 200, {"object": "list", "data": []}, "no models"),
    ("models", ("GET", "/v1/models"), 200, {"data": []}, "KeyError"),
    ("models", ("GET", "/v1/models"), 200, b"<html>", "not JSON"),
    ("models", ("GET", "/v1/models/scripted-model"), 200, {"id": "other"}, "has the id other"),
    ("auth", ("GET", "/v1/auth/status"), 404, {}, "status 404"),
    (
        "auth",
        ("GET", "/v1/auth/status"),
        200,
        {"method": "claude_cli", "ready": False, "missing": ["no login: log in"]},
        "claude_cli: no login: log in",
    ),
    ("completion", ASKED, 200, {**COMPLETION, "choices": []}, "IndexError"),
    ("completion", ASKED, 200, {**COMPLETION, "choices": [{"message": MESSAGE}]}, "is empty"),
    ("stream", ASKED, 200, b"", "without [DONE]"),
    ("stream", ASKED, 200, b"data: [DONE]\n\n", "different ids"),
    ("stream", ASKED, 200, events({"error": {"code": "c", "message": "m"}}), "c: m"),
    ("stream", ASKED, 200, events({**CHUNK, "choices": [{"delta": {}}]}), "has no role"),
    ("stream", ASKED, 200, b"data: {}\n\n", "without [DONE]"),
    ("responses", CREATED, 404, {}, "status 404"),
    ("responses", CREATED, 200, b"", "the stream is empty"),
    ("responses", CREATED, 200, b'data: {"type": "x"}\n\n', "this is not JSON"),
    ("responses", CREATED, 200, b'event: y\ndata: {"type": "x"}\n\n', "has the line 'event: y'"),
    ("responses", CREATED, 200, ends(FAILED), "c: m"),
    ("responses", CREATED, 200, ends({**COMPLETED, "output": []}), "answer is empty"),
    ("responses", CREATED, 200, ends(COMPLETED), "the deltas are not the whole text"),
    ("responses", CREATED, 200, typed(BEGUN, BEGUN), "are numbered [0, 0]"),
    ("responses", CREATED, 200, typed({"type": "response.failed"}), "the first event is"),
    ("stored", CREATED, 200, {**COMPLETED, "output": []}, "answer is empty"),
    ("stored", CREATED, 200, {**COMPLETED, "store": True, "id": "x"}, "status 404"),
    ("sessions", ("GET", "/v1/sessions"), 500, {}, "status 500"),
]


@pytest.mark.parametrize(("check", "request_", "status", "answer", "why"), WRONG)
def test_wrong_answers(capsys, check, request_, status, answer, why):
    """Each wrong answer fails its check, with a line that says why, and the whole run."""
    assert not smoke.run(InProcessClient(app(), {request_: (status, answer)}))
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(smoke.CHECKS)
    (line,) = [line for line in printed if line.split()[:2] == ["FAILED", check]]
    assert why in line


def test_what_is_kept(capsys):
    """A session and responses are made, read and deleted."""
    client = InProcessClient(app())
    assert smoke.run(client)
    methods = {
        kind: [method for method, path in client.requests if f"/{kind}/" in path]
        for kind in ("responses", "sessions")
    }
    assert methods["responses"] == ["GET", "DELETE", "DELETE", "GET"]
    assert methods["sessions"] == ["GET", "DELETE", "GET"]


def test_nothing_is_kept(capsys):
    """A server that stores neither responses nor sessions passes."""
    assert smoke.run(InProcessClient(app(session_store="none")))
    without = [line for line in lines(capsys) if line[0] != "ok"]
    assert without == [["stored:", "not", "offered"], ["sessions:", "not", "offered"]]


def test_no_sessions(capsys):
    """A server that is too old for sessions passes."""
    assert smoke.run(InProcessClient(app(), {("GET", "/v1/sessions"): (404, {})}))
    assert lines(capsys)[-1] == ["sessions:", "not", "offered"]


def test_what_stays(capsys):
    """What still exists after its deletion fails the check."""

    class Stubborn(InProcessClient):
        def call(self, method, path, body=None):
            return (200, b"{}") if method == "DELETE" else super().call(method, path, body)

    assert not smoke.run(Stubborn(app()))
    printed = capsys.readouterr().out
    assert "the deleted response still exists" in printed
    assert "the deleted session still exists" in printed


def test_no_continuation(capsys):
    """A response that costs no more than the one before it does not continue that one."""
    assert not smoke.run(InProcessClient(app(ScriptedEngine())))
    assert "the second response does not continue the first" in capsys.readouterr().out


def test_nobody_listens(capsys):
    """An unreachable server is reported in one line, with exit status 1."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert smoke.main([f"http://127.0.0.1:{port}"]) == 1
    output = capsys.readouterr()
    assert output.out == f"FAILED  http://127.0.0.1:{port} cannot be reached: connection refused\n"
    assert output.err == ""


@pytest.mark.parametrize("key", ["the-key", "schlüssel €"])
def test_key_of_the_file(tmp_path, monkeypatch, key):
    """The key may stand in the file of settings, in any script, and arrives as the server's own."""
    seen = []

    def call(connection, method, path, body, headers):
        seen.append(headers["Authorization"].encode("latin-1"))
        raise ConnectionRefusedError

    (tmp_path / ".env").write_text(f"API_KEY={key}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("API_KEY", raising=False)
    monkeypatch.setattr("http.client.HTTPConnection.request", call)
    assert smoke.main(["http://127.0.0.1:8000"]) == 1
    assert seen == [f"Bearer {key}".encode()]


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("http://127.0.0.1:9", "the\nkey"),
        ("http://a..b", "the-key"),
        ("http://127.0.0.1:9/ä", "the-key"),
    ],
)
def test_what_cannot_be_sent(capsys, monkeypatch, url, key):
    """A key with a line break, or a host that is no name, is one line without the key."""
    monkeypatch.setenv("API_KEY", key)
    assert smoke.main([url]) == 2
    assert capsys.readouterr().err == f"{smoke.UNSENDABLE}\n"


def test_broken_file(tmp_path, capsys, monkeypatch):
    """A broken file of settings is reported in one line, with exit status 2."""
    (tmp_path / ".env").write_text("API_KEY\n")
    monkeypatch.chdir(tmp_path)
    assert smoke.main(["http://127.0.0.1:9"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [[], ["127.0.0.1:8000"], ["ftp://x"], ["http://x:y"], ["http://x", "y"]]
)
def test_wrong_arguments(capsys, arguments):
    """Wrong arguments are reported in one line, with exit status 2."""
    assert smoke.main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("url", ["http://h/v1", "http://h/v1/", "http://h", "http://h/"])
def test_url_with_and_without_v1(monkeypatch, url):
    """The URL may be the server's, or the base URL for OpenAI's clients."""
    assert smoke.Client(url)._prefix == ""
    assert smoke.Client(url.replace("//h", "//h/under"))._prefix == "/under"
