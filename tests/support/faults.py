"""A server under faults: how its `claude` is replaced, and what is seen of it meanwhile."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.server import DEADLINE, MODEL, Server, alive

# How long a turn may take, of many at once on a busy machine.
LONGEST_SECONDS = 2 * DEADLINE
ASKED = "asked"  # where a crooked `claude` notes its id once it has been asked something


def program(folder: Path, *lines: str) -> str:
    """Write a shell script of these lines that serves as `claude`, and return its path."""
    script = folder / "claude"
    script.write_text("\n".join(("#!/bin/sh", *lines, "")))
    script.chmod(0o755)
    return str(script)


def lasting(server: Server) -> dict[str, int]:
    """Return what *server* holds at rest. Threads stay once they were needed, up to a bound."""
    held = server.at_rest()
    del held["threads"]
    return held


def asked(server: Server) -> list[int]:
    """Return the crooked processes that have been asked something."""
    found = []
    for home in server.homes():
        with suppress(FileNotFoundError, ValueError):  # it is just being removed, or written
            found.append(int((home / "tmp" / ASKED).read_text()))
    return [pid for pid in found if alive(pid)]


def ask(server: Server, told: str, profile: str = "plain", **more: Any) -> Any:
    """Return status and body of a turn in which a crooked `claude` does as it is told."""
    return server.ask(f"hello {told}", claude={"profile": profile}, **more)


def outcome(status: int, body: Any) -> tuple[int, str | None]:
    """Return a turn's status, and its error's code."""
    return status, body.get("error", {}).get("code")


@dataclass(frozen=True)
class Outcome:
    """What a client has of a turn: an answer's `text`, or an `error`, or both in a stream."""

    status: int
    text: str
    error: dict[str, Any] | None
    headers: dict[str, str]
    seconds: float


def play(
    server: Server, told: str, *, profile: str = "plain", stream: bool = False, **more: Any
) -> Outcome:
    """Return the outcome of a turn, which has a right form, whatever it is."""
    messages = [{"role": "user", "content": told}]
    body = {"model": MODEL, "messages": messages, "stream": stream, "claude": {"profile": profile}}
    began = time.monotonic()
    status, headers, data = server.call(
        "POST", "/v1/chat/completions", {**body, **more}, timeout=LONGEST_SECONDS
    )
    seconds = time.monotonic() - began
    if stream and status == 200:
        lines = [line.removeprefix("data: ") for line in data.decode().split("\n\n") if line]
        events = [json.loads(line) for line in lines if line.startswith("{")]
        deltas = [choice["delta"] for one in events for choice in one.get("choices", ())]
        text = "".join(delta.get("content") or "" for delta in deltas)
        error = events[-1].get("error")
        assert (lines[-1] == "[DONE]") is (error is None), data
    else:
        answer = json.loads(data)
        error = answer.get("error")
        assert (status == 200) is (error is None), data
        text = answer["choices"][0]["message"]["content"] if error is None else ""
    if error is not None:
        assert set(error) == {"message", "type", "param", "code"}, data
        assert "Traceback" not in error["message"]
    return Outcome(status, text, error, headers, seconds)
