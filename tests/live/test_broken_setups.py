"""Broken setups: the server and the doctor say what to do, and agree whether the gateway serves."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.support import cli, faults
from tests.support.broken_upstream import BrokenUpstream
from tests.support.server import DEADLINE, Server
from wrapper.services.claude.errors import setup_errors
from wrapper.services.claude.errors.engine_errors import (
    HOW_TO_LOG_IN,
    LOGIN_REFUSED,
    NOT_LOGGED_IN,
    Refused,
)
from wrapper.services.claude.processes.compatibility import check_version

DOCTOR = (sys.executable, "-m", "claude_code_gateway", "doctor")
NOBODY = "http://127.0.0.1:9"
REDIS = "redis://127.0.0.1:9/0"
REDIS_IS_DOWN = (
    "Redis cannot be reached; start it, or mend the URL (Error 111 connecting to 127.0.0.1:9. "
    "Connection refused.); until then"
)
READ_ONLY = ("bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc")
# Programs in the folder of each test, and what they print.
PROGRAMS = {"old": "2.1.200 (Claude Code)", "other": "hello"}
with pytest.raises(Refused) as _refused:
    check_version("2.1.200")
OLD = str(_refused.value)


@dataclass(frozen=True)
class Setup:
    """One broken setup.

    `variables` may name {upstream}, {folder} and {port}, which is taken. `advice` is what both say,
    and `subject` the check of the doctor's that says it. With `starts` the server starts, and with
    `serves` it answers turns. `launcher` starts both. `answer` is the message of a turn's error if
    that is not the advice, as callers do not see all of it.
    """

    subject: str
    advice: str
    variables: Mapping[str, str]
    starts: bool = True
    serves: bool = False
    launcher: tuple[str, ...] = ()
    answer: str = ""
    real_cli: bool = False


def turn(advice: str, **variables: str) -> Setup:
    """Return a setup with which the server starts, and turns fail."""
    return Setup("turn", advice, variables, real_cli=True)


def refused(subject: str, advice: str, **variables: str) -> Setup:
    """Return a setup with which the server does not start."""
    return Setup(subject, advice, variables, starts=False)


def wrong_cli(path: str, why: str) -> Setup:
    """Return a setup whose CLAUDE_CLI_PATH is no program that may serve."""
    return refused(
        "CLAUDE_CLI_PATH",
        f"{why}. To do: correct the path, or remove the setting; then the gateway uses the claude "
        "in the PATH, or the one in claude-agent-sdk "
        f"(CLAUDE_CLI_PATH={path} from the environment)",
        CLAUDE_CLI_PATH=path,
    )


def impaired(subject: str, advice: str, **variables: str) -> Setup:
    """Return a setup with which turns are answered, and something else does not work."""
    return Setup(subject, advice, variables, serves=True)


SETUPS = {
    "refused key": Setup(
        "turn",
        "The model's provider refused the gateway's own login: Invalid API key · Fix external API "
        "key (ANTHROPIC_API_KEY is set). To do: set ANTHROPIC_API_KEY to a valid one, and check "
        "ANTHROPIC_BASE_URL if it is set.",
        {"ANTHROPIC_BASE_URL": "{upstream}/refused-key"},
        answer=LOGIN_REFUSED,
        real_cli=True,
    ),
    "no login": Setup(
        "login",
        f"claude_cli (nothing else is set); there is neither a key nor a login: {HOW_TO_LOG_IN}",
        {"ANTHROPIC_API_KEY": ""},
        answer=NOT_LOGGED_IN,
        real_cli=True,
    ),
    "low credit": turn(setup_errors.NO_CREDIT, ANTHROPIC_BASE_URL="{upstream}/no-credit"),
    "nobody at the URL": turn(
        setup_errors.UNREACHABLE.format(
            reason="nothing listens there, or a firewall refuses (ECONNREFUSED)"
        ),
        ANTHROPIC_BASE_URL=NOBODY,
    ),
    "another server at the URL": turn(
        setup_errors.NO_SUCH_PATH, ANTHROPIC_BASE_URL="{upstream}/not-found-page"
    ),
    "a web page at the URL": turn(setup_errors.NO_MESSAGES, ANTHROPIC_BASE_URL="{upstream}/page"),
    "URL without a scheme": refused(
        "ANTHROPIC_BASE_URL",
        "'api.example.com' is no URL of an API; write it with http:// or https:// and a host, such "
        "as https://api.anthropic.com",
        ANTHROPIC_BASE_URL="api.example.com",
    ),
    "no claude": wrong_cli("/nowhere/claude", "/nowhere/claude does not exist"),
    "an old claude": wrong_cli("{folder}/old", f"{{folder}}/old: {OLD}"),
    "another program": wrong_cli(
        "{folder}/other", "{folder}/other is not Claude Code: --version wrote 'hello'"
    ),
    "no write access": Setup(
        "TMPDIR",
        "No usable temporary directory found in ['{folder}/tmp', '/tmp', '/var/tmp', '/usr/tmp', "
        "'{folder}/cwd']; free space or make it writable, or set TMPDIR to another directory",
        {},
        starts=False,
        launcher=READ_ONLY,
    ),
    "port taken": Setup(
        "address",
        "127.0.0.1 port {port}: Address already in use; set another PORT, or stop what listens "
        "there",
        {"PORT": "{port}"},
        starts=False,
    ),
    "Redis is down": impaired(
        "REDIS_URL",
        f"{REDIS_IS_DOWN} usage waits in memory and rates do not count",
        REDIS_URL=REDIS,
    ),
    "Redis is down, and required": Setup(
        "REDIS_URL",
        f"{REDIS_IS_DOWN} turns are refused (USAGE_REQUIRED) and rates do not count",
        {"REDIS_URL": REDIS, "USAGE_REQUIRED": "true"},
    ),
    "Redis of sessions is down": impaired(
        "SESSION_STORE",
        f"{REDIS_IS_DOWN} sessions and stored responses are refused",
        SESSION_STORE=REDIS,
    ),
    "no usage database": impaired(
        "USAGE_DB",
        "Not a directory; see that the file and its directory can be written, or set USAGE_DB to "
        "another ({folder}/log/usage.db); until then usage waits in memory",
        USAGE_DB="{folder}/log/usage.db",
    ),
    "no session directory": impaired(
        "SESSION_DIR",
        "{folder}/log/sessions: Not a directory, so agents' turns of sessions are refused; permit "
        f"user {os.geteuid()} to write there, or set another directory",
        SESSION_DIR="{folder}/log/sessions",
    ),
}


@pytest.fixture(scope="module")
def broken_upstream() -> Iterator[str]:
    """The URL of an upstream at which every request fails."""
    upstream = BrokenUpstream().start()
    yield upstream.url
    upstream.stop()


@pytest.fixture(scope="module")
def taken_port() -> Iterator[int]:
    """A port on which something listens that is no gateway."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture(scope="module")
def quick_claude(tmp_path_factory) -> str:
    """A `claude` that boots at once, and answers "ok"."""
    return faults.faulty_claude(tmp_path_factory.mktemp("quick"))


@dataclass(frozen=True)
class Findings:
    """The doctor's exit status and lines."""

    status: int
    lines: list[str]

    @property
    def faults(self) -> list[str]:
        return [line for line in self.lines if not line.startswith("ok ")]


def examine(server: Server, launcher: tuple[str, ...] = (), **variables: str) -> Findings:
    """Run the doctor with the server's environment."""
    done = subprocess.run(
        [*launcher, *DOCTOR],
        cwd=server.folder / "cwd",
        env={**server.environment, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Findings(done.returncode, done.stdout.splitlines())


@contextlib.contextmanager
def started(folder: Path, setup: Setup, names: Mapping[str, object]) -> Iterator[Server]:
    """Start the server with the setup, and stop it at the end."""
    variables = {name: value.format(**names) for name, value in setup.variables.items()}
    # The replaced programs send no requests, which a trial would notice.
    untried = {"POOL_REHEARSE": "false", "TRIALS": "false"}
    lean = {"POOL_SIZE": "1", "POOL_SIZE_OTHER": "1", **untried}
    launcher = (*setup.launcher, sys.executable, "-m")
    server = Server(folder, NOBODY, launcher=launcher, **{**lean, **variables})
    try:
        yield server
    finally:
        server.stop()


@pytest.mark.parametrize("name", SETUPS)
def test_broken_setup(tmp_path, broken_upstream, taken_port, quick_claude, name):
    """The server and the doctor say exactly what to do, and agree whether turns are answered."""
    setup = SETUPS[name]
    if setup.launcher and not shutil.which(setup.launcher[0]):
        cli.missing(f"{setup.launcher[0]} program")
    for file, prints in PROGRAMS.items():
        (tmp_path / file).write_text(f"#!/bin/sh\necho '{prints}'\n")
        (tmp_path / file).chmod(0o755)
    names = {"upstream": broken_upstream, "folder": tmp_path, "port": taken_port}
    advice = setup.advice.format(**names)
    claude = {} if setup.real_cli else {"CLAUDE_CLI_PATH": quick_claude}
    setup = replace(setup, variables={**claude, **setup.variables})
    with started(tmp_path, setup, names) as server, ThreadPoolExecutor(1) as thread:
        port = {} if "PORT" in setup.variables else {"PORT": "0"}
        doctor = thread.submit(examine, server, setup.launcher, **port)
        assert serves(server, setup, advice) is setup.serves
        findings = doctor.result()
    level = "WARNING" if setup.serves else "FAILED"
    assert f"{level:<7} {setup.subject}: {advice}" in findings.lines
    assert findings.status == (0 if setup.serves else 1)
    assert "Traceback" not in server.log(), server.log()


def serves(server: Server, setup: Setup, advice: str) -> bool:
    """Say whether the server answers turns. Its log or its answer has the advice."""
    if not setup.starts:
        assert server.ended() != 0
        assert advice in server.log()
        return False
    status, body = server.listen().ask("hello")
    if setup.answer or setup.subject == "turn":
        assert body["error"]["message"] == (setup.answer or advice)
    elif advice:
        assert f"{setup.subject}: {advice}" in server.log()
    return bool(status == 200)


def test_running_gateway(tmp_path, quick_claude):
    """While a gateway runs, its port and its usage database are no faults, and a turn is tried."""
    setup = Setup("", "", {"CLAUDE_CLI_PATH": quick_claude}, serves=True)
    with started(tmp_path, setup, {}) as server:
        assert serves(server, setup, "")
        server.wait()
        findings = examine(server, PORT=str(server.port))
        assert server.ask("hello")[0] == 200
    runs = f"127.0.0.1 port {server.port}: a gateway runs there; its /health says ok"
    assert f"ok      address: {runs}" in findings.lines
    assert (findings.status, findings.faults) == (0, [])
