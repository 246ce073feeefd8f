"""A gateway in an app that embeds it starts, drains and cleans up under any WSGI server."""

from __future__ import annotations

import http.client
import json
import signal

import pytest

from tests.support.server import DEADLINE, MODEL, eventually

APP = "tests.support.embedding_app:app"
GUNICORN = ("gunicorn", "--worker-class", "gthread", "--threads", "8", "-b", "127.0.0.1:0", APP)
FLASK = ("flask", "--app", APP, "run", "--port", "0")
WAITRESS = ("waitress", "--listen=127.0.0.1:0", "--channel-request-lookahead=1", APP)
# Each with the signal that stops it. The gateway leaves a server's own handlers alone.
SERVERS = [
    pytest.param(GUNICORN, signal.SIGTERM, id="gunicorn"),
    pytest.param(FLASK, signal.SIGINT, id="flask run"),
    pytest.param(WAITRESS, signal.SIGINT, id="waitress"),
]


class StreamReader:
    """A request for a stream, which the test reads step by step."""

    def __init__(self, server, text):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)
        asked = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": text}]}
        head = {"Content-Type": "application/json"}
        self.connection.request("POST", "/v1/chat/completions", json.dumps(asked), head)
        self.response = self.connection.getresponse()

    def read_until(self, text):
        while text not in (line := self.response.readline()):
            assert line, "the stream ended before that text"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.response.close()
        self.connection.close()


@pytest.mark.parametrize(("program", "ending"), SERVERS)
def test_embedding_app(serve, upstream, program, ending):
    """The first request starts it, a lost client ends its turn, a stop waits for running turns."""
    server = serve(program=program, POOL_SIZE="1", POOL_SIZE_OTHER="0").listen()
    assert server.call("GET", "/")[2] == b"The home page of the app."
    assert not server.roots(), "nothing is started before the first request"
    assert json.loads(server.call("GET", "/v1/whoami")[2]) == {"name": "local"}
    assert eventually(server.claudes), server.log()

    with StreamReader(server, "[[say Well then.]] [[stall 60]]") as left:
        left.read_until(b"Well")
    assert upstream.wait_for(lambda asked: [one.ended for one in asked] == ["aborted"], DEADLINE)

    with StreamReader(server, "[[say The end.]] [[stall 1.5]]") as last:
        last.read_until(b"The")
        processes = server.claudes()
        server.process.send_signal(ending)
        last.read_until(b"end.")
        last.read_until(b"[DONE]")
        server.process.wait(DEADLINE)
    assert processes
    assert not server.roots(), server.log()
    assert "Traceback" not in server.log()
