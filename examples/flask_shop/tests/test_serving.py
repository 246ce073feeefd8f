"""The shop on the real Claude Code before the scripted API: in a test's process, and as served."""

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
GATEWAY = Path(wrapper.__file__).parents[1]  # which need not be installed here
DEADLINE = 50.0


@pytest.fixture
def account(upstream, tmp_path, monkeypatch):
    """Claude Code asks the scripted API, and what is kept is kept in a folder of the test's."""
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
    monkeypatch.chdir(tmp_path)  # where no .env is


def test_conversation(account, upstream):
    """A customer's conversation goes on from what the shop's database remembers."""
    answers = []
    for text in ("[[say Noted.]] remember: bergamot", "[[recall]]"):
        app = create_app()  # anew, so that nothing but the database knows
        browser = app.test_client()
        browser.post("/login", data={"name": "eva", "password": "tea"})
        asked = {"session_id": "one", "messages": [{"role": "user", "content": text}]}
        with app.extensions["wrapper"]:
            said = browser.post("/ai/v1/chat/completions", json=asked)
        answers.append(json.loads(said.data)["choices"][0]["message"]["content"])
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
        found = re.search(serving, log.read_text())
        assert found, log.read_text()
        yield process, int(found[1])
    finally:
        process.kill()
        process.wait()


def test_sigterm(served, upstream, tmp_path):
    """SIGTERM lets the stream that is under way come to its end, and leaves no process."""
    process, port = served
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    connection.request("POST", "/login", "name=eva&password=tea", headers=FORM)
    redirected = connection.getresponse()
    redirected.read()
    cookie = str(redirected.getheader("Set-Cookie")).partition(";")[0]
    content = "[[say The end.]] [[stall 1.5]]"
    asked = {"stream": True, "messages": [{"role": "user", "content": content}]}
    sent = {"Content-Type": "application/json", "Cookie": cookie}
    connection.request("POST", "/ai/v1/chat/completions", json.dumps(asked), sent)
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
    """Return what *holds* says once that is true."""
    end = time.monotonic() + DEADLINE
    while not (value := holds()):
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)
    return value
