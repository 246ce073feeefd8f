"""The commands of README and docs/, run in a fresh clone with an empty home."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support import cli
from tests.support.server import ROOT, eventually

pytestmark = pytest.mark.timeout(400)
# test_running.py runs the same programs without an installation.
thorough = pytest.mark.thorough

README = (ROOT / "README.md").read_text()
API = (ROOT / "docs" / "api.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
PAGES = README + API + OPERATIONS
COMMANDS = re.findall(
    r"^\$ (.+(?:\n {4}.+)*)", "".join(re.findall(r"```console\n(.*?)```", PAGES, re.S)), re.M
)
CURLS = [command for command in COMMANDS if command.startswith("curl ")]
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGES, re.S)  # test_extending.py runs the others
URL = "http://127.0.0.1:8000"
# Each command on these pages, and the test that runs it.
RUN_BY = {
    "make demo": "demo",
    "make run": "test_make_run",
    "pip install '.[claude,redis,metrics,docs,otel]'": "tests/unit/package/test_package.py",
    "pip install 'claude-code-gateway[otel]'": "tests/unit/package/test_package.py",
    "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 claude-code-gateway": "test_traces.py",
    "claude-code-gateway": "tests/unit/package/test_package.py",
    "claude-code-gateway --help": "tests/unit/package/test_package.py",
    "BACKGROUND_TURNS=8 claude-code-gateway worker": "test_job_workers.py",
    ".venv/bin/claude-code-gateway doctor": "test_doctor",
    f"make smoke URL={URL}": "test_smoke",
    "curl": "test_curl",
    "export API_KEYS_FILE=keys.toml": "test_keys",
    ".venv/bin/claude-code-gateway keys new alice": "test_keys",
    ".venv/bin/claude-code-gateway keys list": "test_keys",
    ".venv/bin/claude-code-gateway keys revoke alice": "test_keys",
    "claude-code-gateway keys revoke alice --delete-data": "test_key_data.py",
}


def bare(command):
    """Return *command* without its comment; a curl command is only `curl`."""
    command = command.partition("  #")[0].strip()
    return "curl" if command.startswith("curl ") else command


def test_every_command_is_run():
    """Each command in README and docs/ has a test."""
    assert {bare(command) for command in COMMANDS} == set(RUN_BY)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A fresh clone, installed as the README says, and a newcomer's environment."""
    folder = tmp_path_factory.mktemp("newcomer")
    home = folder / "home"
    home.mkdir()
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder / "clone")], check=True)
    kept = ("PATH", "PIP_CERT", "PIP_FIND_LINKS", "PIP_INDEX_URL", "SSL_CERT_FILE")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    # The tests' CLI avoids another download of 160 MB.
    environment |= {"HOME": str(home), "CLAUDE_CLI_PATH": cli.current(), "TMPDIR": str(folder)}
    environment["PIP_NO_COMPILE"] = "1"  # most modules are used once here, or never
    done = subprocess.run(
        ["make", "install"], cwd=folder / "clone", env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder / "clone", environment


class Running:
    """A command of the README that runs until it is stopped."""

    def __init__(self, command, clone, **variables):
        folder, environment = clone
        self.lines = []
        self.process = subprocess.Popen(
            command.split(),
            cwd=folder,
            env={**environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout or ():
            self.lines.append(line.rstrip())

    def url(self):
        """Wait until it prints its URL, and return it."""
        found = eventually(lambda: re.search(r"http://127\.0\.0\.1:\d+", "\n".join(self.lines)), 90)
        assert found, self.lines
        return found[0]

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.reader.join(30)
        if self.process.stdout:
            self.process.stdout.close()


@pytest.fixture(scope="module")
def demo(clone):
    running = Running("make demo", clone)
    yield running
    running.stop()


def answers(clone, *command, **variables):
    """Return the output of a command that must succeed."""
    folder, environment = clone
    done = subprocess.run(
        command, cwd=folder, env={**environment, **variables}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@thorough
def test_no_test_tools(clone):
    """The demo and the server install no linters and no test tools."""
    installed = {path.name for path in (clone[0] / ".venv" / "bin").iterdir()}
    assert "gunicorn" in installed
    assert not installed & {"pytest", "mypy", "ruff", "lint-imports"}


@thorough
def test_first_line(demo):
    """The demo's first line says that the model is scripted."""
    assert eventually(lambda: demo.lines)
    assert "scripted" in demo.lines[0]


@thorough
@pytest.mark.parametrize("command", CURLS)
def test_curl(demo, clone, command):
    """Each curl command gets the expected answer."""
    failing = command.replace("curl ", "curl -sSf ", 1).replace(URL, demo.url())
    said = answers(clone, "sh", "-c", failing)
    if "content" in command:
        words = re.findall(r'"content":"([^"]*)"', said)
        assert "".join(words) == "You said: Say hello."
    else:
        assert json.loads(said)


@thorough
@pytest.mark.parametrize("snippet", SNIPPETS)
def test_snippets(demo, clone, snippet):
    """The Python examples print the answer. They run with the tests' packages, such as openai."""
    said = answers(clone, sys.executable, "-c", snippet.replace(URL, demo.url()))
    assert "You said: Say hello." in said


@thorough
def test_smoke(demo, clone):
    """The smoke test passes on the demo."""
    said = answers(clone, "make", "smoke", f"URL={demo.url()}")
    assert "FAILED" not in said


@thorough
def test_doctor(clone, upstream):
    """With a key the doctor finds no fault on a newcomer's machine."""
    account = {"ANTHROPIC_API_KEY": "sk-test-0123456789", "ANTHROPIC_BASE_URL": upstream.url}
    command = [".venv/bin/claude-code-gateway", "doctor"]
    assert "FAILED" not in answers(clone, *command, **account, PORT="0")
    assert len(upstream.requests) == 1


@thorough
def test_keys(clone):
    """The commands for keys work in the README's order."""
    script = "\n".join(each for each in COMMANDS if RUN_BY[bare(each)] == "test_keys")
    made, listed, *_ = answers(clone, "sh", "-ec", script).splitlines()
    assert made.startswith("sk-")
    assert listed.startswith("alice")


@thorough
def test_make_run(clone, upstream):
    """`make run` serves with the account in the environment."""
    account = {"ANTHROPIC_API_KEY": "sk-test-0123456789", "ANTHROPIC_BASE_URL": upstream.url}
    running = Running("make run", clone, **account, PORT="8765")
    try:
        url = running.url()
        status = f"curl -sf --retry 20 --retry-connrefused --retry-delay 1 {url}/v1/auth/status"
        assert '"method":"anthropic"' in answers(clone, "sh", "-c", status)
    finally:
        running.stop()


@thorough
def test_count_of_requests(clone):
    """The command that counts requests at max_tokens works."""
    assert "plain: 0 requests too many in 1 turns" in answers(
        clone, sys.executable, "-m", "bench.length", "1"
    )


@thorough
def test_nothing_is_written_home(clone, demo):
    """Claude Code leaves nothing in a newcomer's home."""
    names = [path.name for path in Path(clone[1]["HOME"]).iterdir()]
    assert not [name for name in names if "claude" in name]
