"""A gateway over a scripted engine, asked in process as a client would over HTTP."""

import io
import json

from werkzeug.test import create_environ, run_wsgi_app

from wrapper import create_app
from wrapper.services.events import (
    Ended,
    Ending,
    Usage,
)
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
    """An app with a scripted engine, and the ways to ask it."""

    def __init__(self, *steps, script=None, **settings):
        self.engine = ScriptedEngine(script or (lambda turn: steps or answer("Hello.")))
        self.app = create_app(Settings(**settings), engine=self.engine)
        self.client = self.app.test_client()

    def post(self, data, content_type="application/json", path=CHAT_PATH, **options):
        """Post what is to be sent, a text or what becomes JSON."""
        raw = data if isinstance(data, (str, bytes)) else json.dumps(data)
        return self.client.post(path, data=raw, content_type=content_type, buffered=True, **options)

    def ask(self, headers=None, environ=None, **fields):
        return self.post({**CHAT_BODY, **fields}, headers=headers, environ_overrides=environ or {})

    def stream(self, **fields):
        """Return the frames of a streamed answer."""
        return frames_of(self.ask(stream=True, **fields))

    def send(self, stream, **environ):
        """Post a body that is read from *stream*, with just these variables telling of it."""
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
