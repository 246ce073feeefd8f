"""A stand-alone gateway with a scripted engine, called through WSGI instead of a socket."""

import io
import json

from werkzeug.test import create_environ, run_wsgi_app

from wrapper import create_app
from wrapper.services.events import Ended, Ending
from wrapper.services.spent import Usage
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine, answer

CHAT_PATH = "/v1/chat/completions"
KEY = "sk-right"
BODY_LIMIT = 32 * 1024 * 1024
USER = {"role": "user", "content": "Hi"}
CHAT_BODY = {"messages": [USER]}
DONE = Ended(Ending.DONE, Usage(input=3, output=2), 0.001)
HOUR = 3600.0


class ScriptedServer:
    """The app with a scripted engine, and methods that send it requests."""

    def __init__(self, *steps, script=None, **settings):
        self.engine = ScriptedEngine(script or (lambda turn: steps or answer("Hello.")))
        self.app = create_app(Settings(**settings), engine=self.engine)
        self.client = self.app.test_client()

    def post(self, data, content_type="application/json", path=CHAT_PATH, **options):
        """Post *data*: a body as it is, or a value to encode as JSON."""
        raw = data if isinstance(data, (str, bytes)) else json.dumps(data)
        return self.client.post(path, data=raw, content_type=content_type, buffered=True, **options)

    def ask(self, headers=None, environ=None, **fields):
        """Post a chat completion request with these *fields*."""
        return self.post({**CHAT_BODY, **fields}, headers=headers, environ_overrides=environ or {})

    def stream(self, **fields):
        """Request a stream with these *fields*, and return its frames."""
        return frames_of(self.ask(stream=True, **fields))

    def send(self, stream, **environ):
        """Post a body that is read from *stream*; only *environ* says how long it is."""
        variables = create_environ(CHAT_PATH, method="POST", content_type="application/json")
        variables.pop("CONTENT_LENGTH", None)
        variables |= {"wsgi.input": stream, **environ}
        body, status, headers = run_wsgi_app(self.app, variables, buffered=True)
        return int(status.split()[0]), json.loads(b"".join(body)), headers


class UnreadableBody(io.RawIOBase):
    """A body that must not be read."""

    def readable(self):
        return True

    def readinto(self, buffer):
        raise AssertionError("The body was read.")


def frames_of(response):
    """Return the frames of a stream, with JSON parsed and other frames as they are."""
    assert response.status_code == 200
    frames = response.data.decode().split("\n\n")
    assert frames.pop() == ""
    return [parse_frame(frame) for frame in frames]


def parse_frame(frame):
    text = frame.rpartition("\n")[2].removeprefix("data: ")  # after its name, if it has one
    return json.loads(text) if text.startswith("{") else frame


def error_of(response, status):
    """Return the error of a response, after checking its status and its shape."""
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


def open_with_key(server: ScriptedServer, path: str, method: str = "POST", key: str = KEY):
    """Send CHAT_BODY to *path* with *key* in the headers of both kinds of client."""
    headers = {"api-key": key, "x-api-key": key}
    return server.client.open(path, method=method, json=CHAT_BODY, headers=headers)
