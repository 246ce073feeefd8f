"""Helpers for servers under faults: a replaced `claude`, turns and their outcomes."""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.server import DEADLINE, MODEL, Server, alive

# How long a turn may take, of many at once on a busy machine.
LONGEST_SECONDS = 2 * DEADLINE
# The file in which faulty_claude.py writes its process id once it has got a user message.
ASKED = "asked"
FAULTY_CLAUDE = Path(__file__).with_name("faulty_claude.py")


# Makes a script pass the check before the start, whatever else it does.
TELL_VERSION = 'if [ "$1" = --version ]; then echo "2.1.330 (Claude Code)"; exit; fi'


def program(folder: Path, *lines: str) -> str:
    """Write a shell script of these lines that replaces `claude`, and return its path."""
    script = folder / "claude"
    script.write_text("\n".join(("#!/bin/sh", TELL_VERSION, *lines, "")))
    script.chmod(0o755)
    return str(script)


def wait_for(file: Path) -> str:
    """Return a line of a script that waits until *file* is there."""
    return f"until [ -e {file} ]; do sleep 0.1; done"


def faulty_claude(folder: Path) -> str:
    """Write a `claude` that runs faulty_claude.py, and return its path."""
    return program(folder, f'exec {sys.executable} -IS {FAULTY_CLAUDE} "$@"')


def lasting(server: Server) -> dict[str, int]:
    """Return the resources of *server* at rest. Threads are left out: up to a bound they stay."""
    resources = server.at_rest()
    del resources["threads"]
    return resources


def asked(server: Server) -> list[int]:
    """Return the processes of faulty_claude.py that have got a user message."""
    pids = []
    for home in server.homes():
        with suppress(FileNotFoundError, ValueError):  # it is being removed or written
            pids.append(int((home / "tmp" / ASKED).read_text()))
    return [pid for pid in pids if alive(pid)]


def ask(server: Server, directive: str, profile: str = "plain", **more: Any) -> Any:
    """Return status and body of a turn in which faulty_claude.py follows a directive."""
    return server.ask(f"hello {directive}", claude={"profile": profile}, **more)


def outcome(status: int, body: Any) -> tuple[int, str | None]:
    """Return a turn's status and its error code."""
    return status, body.get("error", {}).get("code")


@dataclass(frozen=True)
class Outcome:
    """What a client gets of a turn: the answer's `text`, an `error`, or both in a stream."""

    status: int
    text: str
    error: dict[str, Any] | None
    headers: dict[str, str]
    seconds: float


def play(
    server: Server, text: str, *, profile: str = "plain", stream: bool = False, **more: Any
) -> Outcome:
    """Return the outcome of a turn, and check the form of the answer or error."""
    messages = [{"role": "user", "content": text}]
    body = {"model": MODEL, "messages": messages, "stream": stream, "claude": {"profile": profile}}
    began = time.monotonic()
    status, headers, data = server.call(
        "POST", "/v1/chat/completions", {**body, **more}, timeout=LONGEST_SECONDS
    )
    seconds = time.monotonic() - began
    if stream and status == 200:
        lines = [line.removeprefix("data: ") for line in data.decode().split("\n\n") if line]
        events = [json.loads(line) for line in lines if line.startswith("{")]
        deltas = [choice["delta"] for event in events for choice in event.get("choices", ())]
        answer_text = "".join(delta.get("content") or "" for delta in deltas)
        error = events[-1].get("error")
        assert (lines[-1] == "[DONE]") is (error is None), data
    else:
        answer = json.loads(data)
        error = answer.get("error")
        assert (status == 200) is (error is None), data
        answer_text = answer["choices"][0]["message"]["content"] if error is None else ""
    if error is not None:
        assert set(error) == {"message", "type", "param", "code"}, data
        assert "Traceback" not in error["message"]
    return Outcome(status, answer_text, error, headers, seconds)
