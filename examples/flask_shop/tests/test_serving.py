"""The shop with the real Claude Code and a scripted API: in this process, and under waitress."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from werkzeug.security import generate_password_hash

import wrapper
from shop import create_app

FOLDER = Path(__file__).parents[1]
GATEWAY = Path(wrapper.__file__).parents[1]  # it may not be installed
DEADLINE = 50.0


@pytest.fixture
def account(upstream, tmp_path, monkeypatch):
    """Let Claude Code call the scripted API, and store everything in the test's folder."""
    for name, value in {
        "ANTHROPIC_BASE_URL": upstream.url,
        "ANTHROPIC_API_KEY": "sk-test-0123456789",
        "POOL_SIZE": "1",
        "PYTHONPATH": str(GATEWAY),
        "HOST": "127.0.0.1",
        "PORT": "0",
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path),
        "SHOP_DATABASE": str(tmp_path / "shop.db"),
        "SHOP_CUSTOMERS": json.dumps({"eva": generate_password_hash("tea", "pbkdf2:sha256:1")}),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)  # it has no .env


def test_conversation(account, upstream):
    """A customer's conversation continues from the shop's database after a restart."""
    answers = []
    for text in ("[[say Noted.]] remember: bergamot", "[[recall]]"):
        app = create_app()  # a new app, so that only the database remembers
        browser = app.test_client()
        browser.post("/login", data={"name": "eva", "password": "tea"})
        body = {"session_id": "one", "messages": [{"role": "user", "content": text}]}
        with app.extensions["wrapper"]:
            response = browser.post("/ai/v1/chat/completions", json=body)
        answers.append(json.loads(response.data)["choices"][0]["message"]["content"])
    assert answers == ["Noted.", "bergamot"]


@pytest.fixture
def served(account, tmp_path):
    """Start serve.py; return its process and its port."""
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(FOLDER / "serve.py")],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        serving = r"Serving on http://\S+:(\d+)"
        eventually(lambda: re.search(serving, log.read_text()) or process.poll() is not None)
        match = re.search(serving, log.read_text())
        assert match, log.read_text()
        yield process, int(match[1])
    finally:
        process.kill()
        process.wait()


def test_sigterm(served, upstream, tmp_path):
    """On SIGTERM the running stream finishes, and no process is left."""
    process, port = served
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    connection.request("POST", "/login", "name=eva&password=tea", headers=FORM)
    redirected = connection.getresponse()
    redirected.read()
    cookie = str(redirected.getheader("Set-Cookie")).partition(";")[0]
    content = "[[say The end.]] [[stall 1.5]]"
    body = {"stream": True, "messages": [{"role": "user", "content": content}]}
    sent = {"Content-Type": "application/json", "Cookie": cookie}
    connection.request("POST", "/ai/v1/chat/completions", json.dumps(body), sent)
    stream = connection.getresponse()
    while b"The" not in (line := stream.readline()):
        assert line
    processes = children(process.pid)
    assert processes
    process.send_signal(signal.SIGTERM)
    assert b"data: [DONE]" in stream.read()
    connection.close()
    assert process.wait(DEADLINE) == 0
    assert not [pid for pid in processes if Path("/proc", str(pid)).exists()]
    assert not list(tmp_path.glob("claude-gateway-*"))


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def children(pid):
    tasks = Path("/proc", str(pid), "task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def eventually(holds):
    """Return the value of *holds* as soon as it is true."""
    end = time.monotonic() + DEADLINE
    while not (value := holds()):
        assert time.monotonic() < end, "the condition did not become true"
        time.sleep(0.02)
    return value
