"""deploy/ at work: nginx in front of two gateways, and a gateway with the files of the image."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

from tests.support.deployments import copied, healthcheck
from tests.support.faults import faulty_claude
from tests.support.nginx import Nginx
from tests.support.server import DEADLINE, MODEL, eventually
from tests.support.session_client import remember
from tests.support.socket_client import Client, request

KEY = {"Authorization": "Bearer the-key"}
SHARED = {
    "API_KEY": "the-key",
    "DEFAULT_PROFILE": "plain",
    "POOL_SIZE": "2",
    "POOL_SIZE_OTHER": "0",
}
MIB = 1024**2


@pytest.fixture(scope="module")
def start(_servers, redis_server):
    """Return a function that starts a gateway as deploy/compose.yaml does, with a key and Redis."""

    def start(**settings):
        urls = {"SESSION_STORE": redis_server.url, "REDIS_URL": redis_server.url}
        return _servers(**{**SHARED, **urls, **settings})

    return start


@pytest.fixture(scope="module")
def gateways(start):
    """Two gateways that the tests share."""
    started = start(), start()
    return [server.wait() for server in started]


@pytest.fixture
def front(tmp_path):
    """Return a function that starts an nginx in front of two ports, stopped after the test."""
    started: list[Nginx] = []

    def start(*ports):
        folder = tmp_path / f"nginx{len(started)}"
        folder.mkdir()
        started.append(Nginx(folder, *ports).start())
        return started[-1]

    yield start
    for nginx in started:
        nginx.stop()


@pytest.fixture
def nginx(front, gateways, upstream):
    return front(*(server.port for server in gateways))


def call(nginx, method, path, body=None, **headers):
    """Return status, headers (lower case) and body of one request to *nginx*."""
    connection = http.client.HTTPConnection("127.0.0.1", nginx.port, timeout=DEADLINE)
    kind = {"Content-Type": "application/json"} if body is not None else {}
    connection.request(method, path, body, {**KEY, **kind, **headers})
    response = connection.getresponse()
    said = {name.lower(): value for name, value in response.getheaders()}
    data = response.read()
    connection.close()
    return response.status, said, data


def ask(nginx, text, **more):
    messages = [{"role": "user", "content": text}]
    body = json.dumps({"model": MODEL, "messages": messages, **more})
    return call(nginx, "POST", "/v1/chat/completions", body)


def streamed(text):
    """Return a request for a stream, with the key."""
    head, _, body = request(text, stream=True).partition(b"\r\n\r\n")
    return head + b"\r\nAuthorization: Bearer the-key\r\n\r\n" + body


def code(answer):
    """Return status and error code of an error in OpenAI's shape."""
    status, headers, data = answer
    error = json.loads(data)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert headers["content-type"] == "application/json"
    return status, error["code"]


def requests_of(server):
    """Return how many turns the log of *server* has."""
    return len(re.findall(r"\brequest\b.*\boutcome=", server.log()))


def test_streams_are_passed_on(nginx, upstream):
    """Each word of a stream reaches the client before the model writes the next."""
    with Client(nginx) as client:
        said = client.send(streamed("[[deltas 3]] [[stall 60]]")).read_until(b"w1")
        assert [one.ended for one in upstream.requests] == [None]
        assert b"w2" not in said
        upstream.release()
        assert client.read_until(b"[DONE]").count(b"data: {") > 3


def test_large_files(nginx):
    """A file larger than any other body passes nginx; another body of that size is refused."""
    content = bytes(40 * MIB)
    with openai.OpenAI(base_url=nginx.url, api_key="the-key", max_retries=0) as client:
        file = client.files.create(file=("large", content), purpose="user_data")
        assert client.files.delete(file.id).deleted
    assert file.bytes == len(content)
    refused = call(nginx, "POST", "/v1/chat/completions", content)
    assert code(refused) == (413, "request_too_large")


def test_a_client_that_leaves(nginx, upstream):
    """If a client disconnects from nginx, the gateway ends its turn."""
    with Client(nginx) as client:
        client.send(streamed("[[deltas 3]] [[stall 50]]")).read_until(b"w1")
    assert upstream.wait_for(lambda seen: seen[0].ended == "aborted")


def test_a_session_moves(nginx, gateways, new_session):
    """A session that began at one gateway goes on at the other."""
    before = [requests_of(server) for server in gateways]
    session = new_session(gateways[0], key="the-key", url=nginx.url)
    facts = [f"fact{number}" for number in range(4)]
    for fact in facts:
        session.ask(remember(fact))
    answer = session.ask("[[recall]]")
    assert all(fact in answer.text for fact in facts)
    after = [requests_of(server) for server in gateways]
    assert all(later > earlier for earlier, later in zip(before, after, strict=True))
    assert session.messages == session.history


def test_a_gateway_is_stopped(start, front, gateways, upstream):
    """One gateway stops without an error for anybody; the other serves the rest."""
    stopped, other = start(MAX_CONCURRENT_TURNS="1").wait(), gateways[1]
    nginx = front(stopped.port, other.port)
    under_way = []
    said = "[[deltas 3]] [[stall 60]]"
    asking = threading.Thread(target=lambda: under_way.append(stopped.stream(said, headers=KEY)))
    asking.start()
    assert upstream.wait_for(bool)
    with ThreadPoolExecutor() as pool:
        waiting = [
            pool.submit(ask, nginx, "hello") for _ in range(4)
        ]  # half of them at each gateway
        assert eventually(lambda: stopped.health()["turns"]["waiting"])
        stopped.process.send_signal(signal.SIGTERM)
        assert eventually(lambda: stopped.call("GET", "/ready")[0] == 503)
        # A session's turns reuse their process, so they are quick.
        meanwhile = [ask(nginx, "hello", session_id="meanwhile")[0] for _ in range(3)]
        assert asking.is_alive()
        upstream.release()
        meanwhile += [answer.result()[0] for answer in waiting]
    asking.join()
    assert stopped.stop() == 0
    afterwards = [ask(nginx, "hello", session_id="meanwhile")[0] for _ in range(3)]
    assert meanwhile + afterwards == [200] * 10
    assert under_way[0][1].endswith(b"data: [DONE]\n\n")
    assert len(upstream.requests) == 11


def test_no_turn_is_sent_twice(nginx, gateways, upstream):
    """If a turn's gateway dies, the client gets an error, and no other gateway gets the turn."""
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(ask, nginx, "[[wait 10]]")
        assert upstream.wait_for(bool)
        has_it = next(one for one in gateways if one.health()["turns"]["running"])
        os.kill(has_it.worker, signal.SIGKILL)
        status, headers, _ = lost = answer.result()
    assert code(lost) == (502, "bad_gateway")
    assert (status, headers["x-should-retry"]) == (502, "false")
    assert eventually(lambda: has_it.call("GET", "/ready")[0] == 200)
    has_it.wait()
    assert len(upstream.requests) == 1


def test_what_nginx_says(nginx, gateways):
    """nginx refuses in OpenAI's shape, and request ids are kept."""
    padding = " " * (32 * MIB)
    assert code(ask(nginx, padding)) == (413, "request_too_large")
    own = ask(nginx, padding)[1]
    assert own["content-security-policy"]  # the gateway's own
    assert code(ask(nginx, padding + padding)) == (413, "request_too_large")
    for path in ("/metrics", "/v1/metrics"):
        assert gateways[0].call("GET", path, headers=KEY)[0] == 200
        assert code(call(nginx, "GET", path)) == (404, "unknown_url")
    assert call(nginx, "GET", "/v1/models", **{"X-Request-ID": "mine"})[1]["x-request-id"] == "mine"
    assert re.fullmatch(r"[0-9a-f]{32}", call(nginx, "GET", "/v1/models")[1]["x-request-id"])
    assert code(call(nginx, "GET", "/v1/models", Authorization="")) == (401, "invalid_api_key")
    assert [call(nginx, "GET", path)[0] for path in ("/ready", "/health", "/.ready")] == [
        200,
        200,
        404,
    ]


def test_nobody_is_ready(front):
    """If no gateway is reachable, the client is asked to retry."""
    nginx = front(1, 1)
    answer = ask(nginx, "hello")
    assert code(answer) == (503, "unavailable")
    assert answer[1]["retry-after"] == "1"
    _, headers, _ = answer = call(nginx, "GET", "/health")
    assert code(answer) == (502, "bad_gateway")
    assert headers["x-should-retry"] == "true"


def test_the_image_serves(serve, tmp_path):
    """The files that the image copies are enough to serve, and its health check works."""
    app = tmp_path / "app"
    app.mkdir()
    for path in copied():
        if path.is_dir():
            shutil.copytree(path, app / path.name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, app)
    program = ("gunicorn", "-c", str(app / "gunicorn.conf.py"), "wsgi:app")
    settings = {**SHARED, "CLAUDE_CLI_PATH": faulty_claude(tmp_path), "PYTHONPATH": str(app)}
    server = serve(program=program, **settings).listen()
    command = [sys.executable, *healthcheck()[1:]]

    def healthy(port):
        variables = {"PORT": str(port), "http_proxy": "http://127.0.0.1:1"}
        return subprocess.run(command, env=variables, capture_output=True).returncode == 0

    assert eventually(lambda: healthy(server.port))
    assert server.ask("hello", headers=KEY)[0] == 200
    server.stop()
    assert not healthy(server.port)
