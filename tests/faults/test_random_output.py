"""Random output of the CLI: each turn ends in time, and the gateway works on.

A seed decides what the CLI writes and how it ends; see tests/support/random_claude.py.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import MODEL, ROOT, Server, eventually

RANDOM_CLAUDE = ROOT / "tests" / "support" / "random_claude.py"
PROFILES = ("plain", "agent")
SEEDS = range(60)
AT_ONCE = 4
TURN_MILLISECONDS = 1500
# Statuses for faults of Claude Code, and for refusals of the model's API.
TOLD = {200, 400, 401, 403, 404, 413, 429, 502, 503, 504}


def program(folder: Path) -> str:
    """Write a `claude` that runs random_claude.py in *folder*, and return its path."""
    shutil.copy(RANDOM_CLAUDE, folder / RANDOM_CLAUDE.name)
    script = folder / "claude"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {folder / RANDOM_CLAUDE.name} "$@"\n')
    script.chmod(0o755)
    return str(script)


@pytest.fixture(scope="module")
def random_output(_servers, tmp_path_factory) -> Server:
    """A gateway that runs random_claude.py, with a short MAX_TIMEOUT."""
    binary = program(tmp_path_factory.mktemp("random_output"))
    sizes = {"POOL_SIZE": "4", "POOL_SIZE_OTHER": "4"}
    times = {"MAX_TIMEOUT": str(TURN_MILLISECONDS), "BOOT_TIMEOUT": "20"}
    server: Server = _servers(CLAUDE_CLI_PATH=binary, **sizes, **times).wait()
    return server


def outcome(server: Server, seed: int, profile: str, stream: bool) -> str:
    """Return the status and error code of a turn, and check the form of its answer."""
    messages = [{"role": "user", "content": f"[[seed {seed}]]"}]
    body = {"model": MODEL, "messages": messages, "stream": stream, "claude": {"profile": profile}}
    status, headers, data = server.call("POST", "/v1/chat/completions", body)
    told = json.loads(data) if "json" in headers["content-type"] else last_of(data)
    assert status in TOLD, (seed, profile, data[:500])
    error = told.get("error")
    if error is None:
        assert status == 200, (seed, data[:500])
        return "200"
    assert set(error) == {"message", "type", "param", "code"}, (seed, error)
    assert error["code"] != "internal_error", (seed, error)
    return f"{status} {error['code']}"


def last_of(data: bytes) -> dict[str, Any]:
    """Return the last event of a stream, and check that it ends with [DONE] or an error."""
    events = [one.removeprefix("data: ") for one in data.decode().split("\n\n")]
    assert events.pop() == ""
    if events[-1] == "[DONE]":
        assert not any('"error"' in one for one in events)
        return {}
    return dict(json.loads(events[-1]))


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("stream", [False, True])
def test_random_output(random_output, profile, stream):
    """Whatever the CLI writes and however it ends, the turn ends in time and no code fails."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        told = Counter(
            threads.map(lambda seed: outcome(random_output, seed, profile, stream), SEEDS)
        )
    assert len(told) > 2, told  # else the output was not random enough
    random_output.at_rest()  # so that the next turn does not wait for a process
    status, body = random_output.ask("Hello.", claude={"profile": profile})
    assert (status, body["choices"][0]["message"]["content"]) == (200, "Hello.")
    random_output.at_rest()  # waits until only the pools' processes are left
    assert "Traceback" not in random_output.log()
    assert "failed in mid-stream" not in random_output.log()


@pytest.mark.parametrize(
    "said",
    [
        {"version": "9" * 5000},
        {"version": "2.1.330", "models": 5},
        {"version": "2.1.330", "models": ["opus"]},
        {"version": "2.1.330", "models": [{"value": []}]},
        {"version": "2.1.330", "models": {"value": "opus"}},
        {"version": "2.1.330", "models": [], "applied": "opus"},
    ],
    ids=lambda said: repr(said)[:60],
)
def test_boots_that_say_anything(serve, tmp_path, said):
    """A boot with a malformed reply has failed and leaves nothing; a later boot succeeds."""
    binary = program(tmp_path)
    (tmp_path / "boot").write_text(json.dumps(said))
    server = serve(CLAUDE_CLI_PATH=binary, POOL_SIZE="1", POOL_SIZE_OTHER="0").listen()
    assert eventually(lambda: "cannot be understood" in server.log())
    (tmp_path / "boot").unlink()
    assert eventually(lambda: server.health()["status"] == "ok")
    assert server.ask("Hello.")[0] == 200
    server.at_rest()
    assert "Traceback" not in server.log()


@pytest.mark.parametrize(
    "said", [[], 5, {}, {"version": None}, {"version": "\u00b2.\u00b2"}], ids=repr
)
def test_boots_without_a_version(serve, tmp_path, said):
    """A CLI that does not tell its version may be too old, and stops the start."""
    binary = program(tmp_path)
    (tmp_path / "boot").write_text(json.dumps(said))
    server = serve(CLAUDE_CLI_PATH=binary, POOL_SIZE="1", POOL_SIZE_OTHER="0")
    assert server.ended() == 3
    assert "is older than" in server.log()
    assert "Traceback" not in server.log()
    assert not server.homes()
