"""Starting and stopping: what is refused, what recovers, and what is left."""

from __future__ import annotations

import json
import os
import re
import signal
import socket

import pytest

from tests.support import cli
from tests.support.faults import program, wait_for
from tests.support.server import DEADLINE, eventually
from tests.support.socket_client import Client, request

NO_PROCESSES = {"POOL_SIZE": "0", "POOL_SIZE_OTHER": "0"}
REFUSALS = [
    ({"HOST": "0.0.0.0"}, (), "API_KEY: HOST=0.0.0.0 can be reached from other machines"),
    ({}, ("-b", "0.0.0.0:0"), "API_KEY: 0.0.0.0:0 can be reached from other machines"),
    ({}, ("-w", "2"), "SESSION_STORE: several workers do not share memory"),
    ({"SESSION_STORE": "memcached"}, (), "SESSION_STORE: must be memory, none, or"),
    ({"CLAUDE_PERMISSION_MODE": "bypassPermissions"}, (), "set ALLOW_BYPASS=true"),
    ({"REDIS_URL": "127.0.0.1:6379"}, (), "REDIS_URL: "),
    ({"CLAUDE_CWD": "/nowhere/at/all"}, (), "CLAUDE_CWD: /nowhere/at/all is not a directory"),
]


@pytest.mark.parametrize(("variables", "arguments", "mend"), REFUSALS)
def test_refused(serve, variables, arguments, mend):
    """Unsafe settings stop the start, and the message says what to do."""
    server = serve(*arguments, **variables)
    assert server.ended() != 0
    assert mend in server.log()
    assert "Traceback" not in server.log()


def test_misspelt_variable(serve):
    """A variable that is almost a setting's is a warning, which does not show its value."""
    server = serve(APIKEY="hush-hush", **NO_PROCESSES).listen()
    warning = "APIKEY in the environment is not a setting; did you mean API_KEY?"
    assert eventually(lambda: warning in server.log())
    assert "hush-hush" not in server.log()


def test_all_mistakes_at_once(serve):
    """Every wrong setting is named at once."""
    server = serve(PORT="eighty", POOL_SIZE="-1", DEFAULT_PROFILE="fancy", LOG_LEVEL="loud")
    assert server.ended() != 0
    for name in ("PORT", "POOL_SIZE", "DEFAULT_PROFILE", "LOG_LEVEL"):
        assert f"{name}: " in server.log()


def test_oldest_cli(serve):
    """The oldest version that the README promises passes all trials and serves, with defaults."""
    binary = cli.installed(cli.OLDEST_VERSION)
    defaults = dict.fromkeys(("POOL_SIZE", "POOL_REHEARSE", "TRIALS", "TRIALS_DIR"), "")
    server = serve(CLAUDE_CLI_PATH=binary, **defaults).wait()
    for profile in ("plain", "agent"):
        status, body = server.ask("[[say fine]]", claude={"profile": profile})
        assert (status, body["choices"][0]["message"]["content"]) == (200, "fine")
    trials = server.health()["trials"]
    assert {profile: trial["status"] for profile, trial in trials.items()} == {
        "agent": "passed",
        "plain": "passed",
    }


def test_old_cli_is_refused(serve, upstream):
    """A CLI that is too old stops the start, and the message says what to do."""
    server = serve(CLAUDE_CLI_PATH=cli.installed(cli.OLD_VERSION))
    assert server.ended() == 1
    assert f"({cli.OLD_VERSION}) is older than 2.1.302" in server.log()
    assert "pip install 'claude-code-gateway[claude]'" in server.log()
    assert not server.homes()
    assert not upstream.requests


def test_old_cli_in_the_path(serve, tmp_path):
    """A CLI in PATH that is too old is passed over, and the log says which one serves."""
    old = tmp_path / "claude"
    old.write_text("#!/bin/sh\necho '2.1.200 (Claude Code)'\n")
    old.chmod(0o755)
    folders = f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin"
    server = serve(CLAUDE_CLI_PATH="", PATH=folders, POOL_SIZE_OTHER="0").wait()
    assert server.ask("hello")[0] == 200
    log = server.log()
    assert f"{old}: This Claude Code (2.1.200) is older than 2.1.302" in log
    assert re.search(r"Claude Code 2\.\S+ at /\S+ \(from claude-agent-sdk\) is used", log)
    assert log.count("2.1.200") == 1


def errors_of(server, text):
    """Return the log's errors with *text*. Each failed turn has a warning of its own besides."""
    return [line for line in server.log().splitlines() if " ERROR " in line and text in line]


BROKEN = {
    "missing": (None, "{path} does not exist"),
    "failing": ("echo out of order >&2; exit 7", "exit code 7, writing 'out of order'"),
    "another program": ("echo hello", "{path} is not Claude Code: --version wrote 'hello'"),
    "too old": ("echo 2.1.200", "(2.1.200) is older than 2.1.302"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_cli(serve, tmp_path, kind):
    """A missing or wrong CLI stops the start with one line: its path, why, and what to do."""
    script, reason = BROKEN[kind]
    path = tmp_path / "claude"
    if script:
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    server = serve(CLAUDE_CLI_PATH=str(path))
    assert server.ended() == 1
    title, line = server.log().splitlines()
    assert title == "The gateway does not start:"
    assert line.startswith(f"  CLAUDE_CLI_PATH: {path}")
    assert reason.format(path=path) in line
    assert "To do: correct the path, or remove the setting" in line


def test_cli_that_goes_away(serve, tmp_path):
    """If the CLI is removed later, callers get a 503 without its path, and the log one error."""
    link = tmp_path / "claude"
    link.symlink_to(cli.current())
    server = serve(CLAUDE_CLI_PATH=str(link), **NO_PROCESSES).wait()
    link.unlink()
    answers = [server.ask("hello") for _ in range(2)]
    assert [(status, body["error"]["code"]) for status, body in answers] == [
        (503, "unavailable")
    ] * 2
    seen = json.dumps([answers, server.health()])
    assert "No Claude Code that may serve is installed" in seen
    assert str(tmp_path) not in seen
    assert len(errors_of(server, f"{link} does not exist")) == 1
    link.symlink_to(cli.current())
    assert eventually(lambda: server.ask("hello")[0] == 200)


def test_all_origins_without_a_key(serve):
    """CORS_ORIGINS=* without a key is a warning, and sends no CORS headers."""
    server = serve(CORS_ORIGINS='["*"]', **NO_PROCESSES).listen()
    assert eventually(lambda: "CORS_ORIGINS" in server.log())
    foreign = {"Origin": "https://evil.example"}
    status, headers, _ = server.call("GET", "/v1/health", headers=foreign)
    assert status == 403
    local = {"Origin": "http://localhost:3000"}
    status, headers, _ = server.call("GET", "/v1/health", headers=local)
    assert status == 200
    assert not [name for name in headers if name.startswith("access-control")]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:8000"])
def test_foreign_host(gateway, upstream, host):
    """Without a key a request to another host name, as by DNS rebinding, is refused."""
    status, body = gateway.ask("hello", headers={"Host": host})
    assert (status, body["error"]["code"]) == (403, "permission_denied")
    assert gateway.call("GET", "/health", headers={"Host": host})[0] == 403
    assert not upstream.requests


@pytest.fixture(scope="module")
def keyed(_servers):
    """A gateway that serves other machines, with an API_KEY."""
    return _servers(HOST="0.0.0.0", API_KEY="the-key", POOL_SIZE_OTHER="0").wait()


def test_api_key(keyed, upstream):
    """With API_KEY, also on other machines' addresses, requests need it; /health does not."""
    server = keyed
    assert server.ask("hello")[0] == 401
    assert server.ask("hello", headers={"Authorization": "Bearer wrong"})[0] == 401
    assert not upstream.requests
    for good in ({"Authorization": "Bearer the-key"}, {"x-api-key": "the-key"}):
        assert server.ask("hello", headers=good)[0] == 200
    assert server.call("GET", "/health")[0] == 200


def test_key_is_checked_before_the_body(keyed):
    """A request without the key is refused before its body is sent."""
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", keyed.port), DEADLINE) as client:
        client.sendall(f"{head}Content-Length: 1000000\r\n\r\n".encode())
        assert client.recv(65536).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("chunked", [False, True])
def test_body_limit(gateway, chunked):
    """A body over 32 MiB is refused while it is read, also without Content-Length."""
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {40 * 1024**2}"
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
    head += f"Content-Type: application/json\r\n{length}\r\n\r\n"
    block = b" " * 1024**2
    piece = b"100000\r\n" + block + b"\r\n" if chunked else block
    with socket.create_connection(("127.0.0.1", gateway.port), DEADLINE) as client:
        client.sendall(head.encode())
        for _ in range(33):
            try:
                client.sendall(piece)
            except ConnectionError:
                break  # it has answered already
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_health_does_not_wait(serve, tmp_path):
    """While a CLI boots slowly, /health answers that processes are booting."""
    go = tmp_path / "go"
    script = program(tmp_path, wait_for(go), f'exec {cli.current()} "$@"')
    server = serve(CLAUDE_CLI_PATH=script, POOL_SIZE="2").listen()
    assert eventually(lambda: server.health()["status"]) == "starting"
    assert server.health()["pools"]["agent"] == {"status": "booting", "ready": 0, "booting": 2}
    go.touch()
    server.wait()


def test_failing_boots_are_told_and_heal(serve, tmp_path):
    """While boots fail, /health and each request say why. Later boots recover."""
    script = program(tmp_path, "echo 'the disk is on fire' >&2", "exit 7")
    server = serve(CLAUDE_CLI_PATH=script).listen()
    assert eventually(lambda: server.health()["status"] == "failing")
    assert server.call("GET", "/health")[0] == 503
    why = "No Claude Code process could be started: Claude Code ended with exit code 7"
    assert why in server.health()["pools"]["agent"]["error"]
    status, body = server.ask("hello")
    assert (status, body["error"]["code"]) == (503, "unavailable")
    assert why in body["error"]["message"]
    assert str(tmp_path) not in body["error"]["message"]
    assert len(errors_of(server, f"{script} wrote: the disk is on fire")) == 1
    program(tmp_path, f'exec {cli.current()} "$@"')
    server.wait()
    assert server.ask("hello")[0] == 200


def test_hanging_boots_are_ended(serve, tmp_path):
    """A process that does not boot within BOOT_TIMEOUT is ended and reported."""
    script = program(tmp_path, "exec sleep 1000")
    server = serve(CLAUDE_CLI_PATH=script, BOOT_TIMEOUT="1").listen()
    assert eventually(lambda: server.health()["status"] == "failing")
    assert "did not answer in time" in server.health()["pools"]["agent"]["error"]


def test_dead_processes_are_replaced(serve):
    """Warm processes that have died are not used."""
    server = serve(POOL_SIZE="2", POOL_SIZE_OTHER="0").wait()
    server.at_rest()
    for pid in server.claudes():
        os.kill(pid, signal.SIGKILL)
    assert server.ask("hello")[0] == 200
    server.at_rest()


def test_too_many_turns(serve, upstream):
    """Without a queue, turns over MAX_CONCURRENT_TURNS get a 429 with Retry-After at once."""
    few = {"MAX_CONCURRENT_TURNS": "1", "MAX_QUEUE": "0"}
    server = serve(**few, POOL_SIZE="1", POOL_SIZE_OTHER="0").wait()
    with Client(server) as first:
        first.send(request("[[deltas 2]] [[stall 50]]", profile="agent"))
        assert upstream.wait_for(bool)
        body = {"messages": [{"role": "user", "content": "hello"}]}
        status, headers, data = server.call("POST", "/v1/chat/completions", body)
        assert (status, json.loads(data)["error"]["code"]) == (429, "rate_limit_exceeded")
        assert headers["retry-after"]
        assert server.call("GET", "/health")[0] == 200
    assert eventually(lambda: server.health()["turns"]["running"] == 0)
    assert server.ask("hello")[0] == 200
