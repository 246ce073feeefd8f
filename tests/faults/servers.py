"""A server under faults: how its `claude` is replaced, and what is seen of it meanwhile."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.live.server import Server, alive

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
