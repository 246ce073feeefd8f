"""The program's commands: serve, demo, smoke and doctor."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import cli
from tests.support.faults import program as broken_claude
from tests.support.server import (
    DEADLINE,
    MODEL,
    ROOT,
    TRIALS,
    environments,
    eventually,
    started_for,
)
from wrapper.smoke import Client
from wrapper.testing import demo

KEY = "sk-test-0123456789"
USERS_OWN = "sk-the-users-own"
GATEWAY = "claude_code_gateway"
DOCTOR = (GATEWAY, "doctor")


class Program:
    """A program with its own home, temporary and working directory."""

    def __init__(self, folder: Path, *arguments: str, **variables: str):
        self.folder = folder
        for name in ("home", "tmp", "cwd"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        environment = {
            "PATH": os.environ["PATH"],
            "TRIALS_DIR": str(TRIALS),
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "PYTHONPATH": str(ROOT),
            "CLAUDE_CODE_MAX_RETRIES": "0",
            "CLAUDE_CLI_PATH": cli.current(),
            **variables,
        }
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=folder / "cwd",
                env={name: value for name, value in environment.items() if value},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    @property
    def out(self) -> str:
        return (self.folder / "out").read_text(errors="replace")

    @property
    def err(self) -> str:
        return (self.folder / "err").read_text(errors="replace")

    def ended(self) -> int:
        """Wait until it exits by itself, and return its exit status."""
        return self.process.wait(DEADLINE)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal, and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.ended()

    def url(self) -> str:
        """Wait until its processes are ready, and return its URL."""
        listening = eventually(lambda: re.search(r"Listening at: (http://\S+)", self.err))
        assert listening, self.err
        assert eventually(lambda: health(listening[1])["status"] == "ok"), self.err
        return str(listening[1])

    def left(self) -> list[str]:
        """Return the processes and files that it has left."""
        own = started_for(self.folder) - {self.process.pid}
        files = [str(path) for path in (self.folder / "tmp").iterdir()]
        return [*map(str, own), *files]


def health(url: str) -> dict[str, str]:
    return dict(json.loads(Client(url).call("GET", "/health")[1]))


@pytest.fixture
def start(tmp_path, upstream):
    """Return a function that starts a program, which is stopped after the test."""
    with contextlib.ExitStack() as stack:

        def begin(*arguments, **variables):
            given = {"ANTHROPIC_BASE_URL": upstream.url, "ANTHROPIC_API_KEY": KEY}
            folder = tmp_path / f"program{len(list(tmp_path.iterdir()))}"
            program = Program(folder, *arguments, **{**given, **variables})
            stack.callback(program.stop)
            return program

        yield begin


@pytest.fixture
def taken():
    """A port on which something listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_taken_port(start, taken):
    """The program serves from any directory, on the next free port if its own is taken."""
    program = start(GATEWAY, str(taken), POOL_SIZE="1", POOL_SIZE_OTHER="0")
    url = program.url()
    port = int(url.rpartition(":")[2])
    assert taken < port <= taken + 20
    first = program.err.splitlines()[0]
    assert first == f"Port {taken} is taken; serving on {port}."
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
    assert Client(url).call("POST", "/v1/chat/completions", body)[0] == 200
    assert program.stop() == 0
    assert program.left() == []


@pytest.mark.parametrize("port", ["eighty", "65536"])
def test_no_port(start, port):
    """An invalid PORT is named on stderr, with exit status 2."""
    program = start("wrapper", "serve", port)
    assert program.ended() == 2
    assert f"{port!r} is not a port" in program.err.splitlines()[-1]


def test_reload(start, tmp_path):
    """With --reload changed code is served, and broken code is shown until it is corrected."""
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "wrapper", copy / "wrapper")
    code = copy / "wrapper" / "routes" / "health.py"
    original = code.read_text()
    variables = {"PYTHONPATH": str(copy), "POOL_SIZE": "1", "POOL_SIZE_OTHER": "0"}
    program = start("wrapper", "--reload", "0", **variables)
    client = Client(program.url())

    def told() -> bytes:
        with contextlib.suppress(OSError):
            return client.call("GET", "/health")[1]
        return b""

    code.write_text(f"{original}\nraise RuntimeError('half written')\n")
    assert eventually(lambda: b"half written" in told()), program.err
    mended = original.replace("reply(report,", "reply({**report, 'new': True},")

    def mend() -> bool:
        # gunicorn reads the files' times a moment after its worker has started. It misses
        # changes before then, which no person could make.
        code.write_text(mended)
        return bool(eventually(lambda: b'"new":true' in told(), 20))

    assert any(mend() for _ in range(4)), program.err
    assert program.stop() == 0
    assert program.left() == []


def demonstrate(start, **variables):
    """Start the demo, and return it with the commands that it prints."""
    program = start(GATEWAY, "demo", "0", **variables)
    assert eventually(lambda: "Ctrl-C" in program.out or program.process.poll() is not None)
    lines = [line for line in program.out.splitlines() if line.startswith("curl ")]
    assert len(lines) == 4, (program.out, program.err)
    return program, lines


def shell(line: str) -> str:
    done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    return done.stdout


def content(body: str) -> str:
    return str(json.loads(body)["choices"][0]["message"]["content"])


def test_demo(start, upstream, tmp_path):
    """The demo first says that it is scripted, and each command that it prints works."""
    program, (question, stream, tool, error) = demonstrate(start)
    assert program.out.splitlines()[0] == demo.FIRST_LINE
    assert "scripted" in demo.FIRST_LINE
    assert content(shell(question)) == "You said: Say hello."
    said = shell(stream)
    assert len(re.findall(r'"content":" ?w\d+"', said)) == 20
    assert said.endswith("data: [DONE]\n\n")
    assert content(shell(tool)) == "hello.txt"
    refused = shell(error)
    assert refused.startswith("HTTP/1.1 429 ")
    assert "rate_limit_exceeded" in refused
    assert program.err == ""
    assert program.stop(signal.SIGINT) == 0
    assert program.left() == []
    assert not upstream.requests  # the demo has its own upstream


def test_demo_heeds_nothing_of_the_users(start, tmp_path):
    """The user's keys, clouds, proxies and .env do not reach the demo's gateway."""
    (tmp_path / "program0" / "cwd").mkdir(parents=True)
    dead = "http://127.0.0.1:9"
    (tmp_path / "program0" / "cwd" / ".env").write_text(f"API_KEY=x\nANTHROPIC_BASE_URL={dead}\n")
    own = {"ANTHROPIC_API_KEY": USERS_OWN, "ANTHROPIC_AUTH_TOKEN": USERS_OWN, "API_KEY": "x"}
    clouds = {"CLAUDE_CODE_USE_BEDROCK": "1", "AWS_BEARER_TOKEN_BEDROCK": USERS_OWN}
    proxies = {"http_proxy": dead, "https_proxy": dead, "no_proxy": "localhost,127.0.0.1"}
    variables = {**own, **clouds, **proxies, "HOST": "0.0.0.0", "ANTHROPIC_BASE_URL": dead}
    folder = tmp_path / "program0"
    program = Program(folder, GATEWAY, "demo", "0", **variables)
    try:
        assert eventually(lambda: "Ctrl-C" in program.out), program.err
        question = next(line for line in program.out.splitlines() if line.startswith("curl "))
        assert "http://127.0.0.1:" in question
        assert content(shell(question)) == "You said: Say hello."
        seen = [seen for pid, seen in environments() if pid != program.process.pid]
        its = [one for one in seen if str(folder).encode() in one]
        assert len(its) >= 4  # gunicorn, its worker, and warm processes
        assert not any(USERS_OWN.encode() in one for one in its)
    finally:
        program.stop()
    assert program.left() == []


@pytest.mark.thorough
def test_demo_ends_in_mid_answer(start):
    """SIGTERM ends the demo while it streams, and leaves nothing."""
    program, lines = demonstrate(start)
    slow = lines[1].replace("[[deltas 20]] [[pause 0.2]]", "[[deltas 3]] [[stall 50]]")
    with subprocess.Popen(slow, shell=True, stdout=subprocess.PIPE) as asking:
        assert asking.stdout
        assert asking.stdout.readline().startswith(b"data: ")
        assert program.stop(signal.SIGTERM) == 0
        assert b"shutting down" in asking.stdout.read()
    assert program.left() == []


def test_demo_with_a_broken_cli(start, tmp_path):
    """The demo uses the bundled CLI, whatever CLAUDE_CLI_PATH and PATH hold."""
    old = tmp_path / "claude"
    old.write_text("#!/bin/sh\necho '2.1.200 (Claude Code)'\n")
    old.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    program, (question, *_) = demonstrate(start, CLAUDE_CLI_PATH=str(old), PATH=path)
    assert content(shell(question)) == "You said: Say hello."
    assert program.err == ""


def test_smoke(start, gateway):
    """The smoke test passes on a healthy server, with a line for each check."""
    program = start(GATEWAY, "smoke", gateway.url)
    assert program.ended() == 0
    words = [line.split()[:2] for line in program.out.splitlines()]
    checked = ("health", "models", "auth", "completion", "stream")
    assert words[:5] == [["ok", name] for name in checked]
    assert program.err == ""


def test_smoke_of_a_broken_server(start, serve, tmp_path):
    """The smoke test fails if no process can start, and each line says why."""
    server = serve(CLAUDE_CLI_PATH=broken_claude(tmp_path, "exit 7")).listen()
    assert eventually(lambda: server.health()["status"] == "failing")
    program = start(GATEWAY, "smoke", f"http://127.0.0.1:{server.port}")
    assert program.ended() == 1
    failed = [line for line in program.out.splitlines() if line.startswith("FAILED")]
    broken = [
        "health",
        "auth",
        "completion",
        "stream",
        "responses",
        "stored",
        "messages",
        "sessions",
    ]
    assert [line.split()[1] for line in failed] == broken
    assert all("Claude Code ended with exit code 7 while starting" in line for line in failed)


def test_smoke_of_nobody(start):
    """A server that is not there is one line without a traceback."""
    program = start(GATEWAY, "smoke", "http://127.0.0.1:9")
    assert program.ended() == 1
    assert program.out == "FAILED  http://127.0.0.1:9 cannot be reached: connection refused\n"
    assert program.err == ""


def examined(start, **variables):
    """Return the doctor's exit status, and its findings by the first word of each check."""
    program = start(*DOCTOR, **{"PORT": "0", **variables})
    status = program.ended()
    assert "Traceback" not in program.err, program.err
    assert program.left() == []
    lines = [
        re.fullmatch(r"(ok|FAILED) +(\w+)[^:]*: (.+)", line) for line in program.out.split("\n")
    ]
    return status, {match[2]: (match[1], match[3]) for match in lines if match}


def test_doctor(start, upstream):
    """If all is well, the doctor says so, with the CLI's version and the time of a turn."""
    status, findings = examined(start)
    assert status == 0, findings
    assert {word for word, _ in findings.values()} == {"ok"}
    assert findings["claude"][1].startswith(f"{cli.version()} at ")
    assert re.search(r"answered in \d+\.\d s", findings["turn"][1])
    assert len(upstream.requests) == 1


def test_doctor_not_logged_in(start, upstream):
    """Without a login the doctor says how to log in, and sends nothing upstream."""
    status, findings = examined(start, ANTHROPIC_API_KEY="")
    assert status == 1
    for what in ("login", "turn"):
        assert findings[what][0] == "FAILED"
        assert "`claude /login`" in findings[what][1]
    assert findings["claude"][0] == "ok"
    assert not upstream.requests


@pytest.mark.thorough
def test_doctor_without_cli(start):
    """For a missing CLI the doctor names the setting."""
    status, findings = examined(start, CLAUDE_CLI_PATH="/nowhere/claude")
    assert status == 1
    failed = [text for word, text in findings.values() if word == "FAILED"]
    assert failed[0].startswith("/nowhere/claude does not exist. To do: correct the path")


@pytest.mark.thorough
def test_doctor_of_a_taken_port(start, taken):
    """The doctor reports a port that is taken."""
    status, findings = examined(start, PORT=str(taken))
    assert status == 1
    assert [name for name, (word, _) in findings.items() if word == "FAILED"] == ["address"]
    assert f"port {taken}: Address already in use" in findings["address"][1]


def test_doctor_without_upstream(start):
    """If the model's API cannot be reached, the doctor says what to check."""
    status, findings = examined(start, ANTHROPIC_BASE_URL="http://127.0.0.1:9")
    assert status == 1
    assert findings["turn"][0] == "FAILED"
    assert "ANTHROPIC_BASE_URL" in findings["turn"][1]


@pytest.mark.thorough
def test_doctor_of_wrong_settings(start):
    """The doctor names all wrong settings, and checks the rest."""
    status, findings = examined(start, PORT="eighty", POOL_SIZE="-1")
    assert status == 1
    assert (findings["PORT"][0], findings["POOL_SIZE"][0]) == ("FAILED", "FAILED")
    assert findings["claude"][0] == findings["login"][0] == "ok"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_doctor_is_stopped(start, taken, number, status):
    """A doctor that is stopped during its turn leaves nothing."""
    program = start(*DOCTOR, PORT="0", ANTHROPIC_BASE_URL=f"http://127.0.0.1:{taken}")
    assert eventually(lambda: "login" in program.out), program.err
    assert program.stop(number) == status
    assert "turn" not in program.out
    assert program.left() == []


def test_models(start):
    """`models` lists Claude Code's models, and leaves no process."""
    program = start("flask", "--app", GATEWAY, "gateway", "models")
    assert program.ended() == 0
    assert {"sonnet", "opus", "haiku", MODEL} <= set(program.out.split())
    assert program.left() == []
