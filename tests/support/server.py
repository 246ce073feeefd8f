"""A gateway under gunicorn, started as an operator would, and what is seen of it from outside."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.support import cli
from wrapper.services.turn_loop import MAX_IDLE_LOOPS

ROOT = Path(__file__).parents[2]
MODEL = "claude-sonnet-4-20250514"
DEADLINE = 120.0  # for what happens at once on a machine that is not busy
GUNICORN = ("gunicorn", "-c", str(ROOT / "gunicorn.conf.py"), "wsgi:app")
FLASK = ("flask", "--app", "wsgi", "run", "--port", "0")


def eventually(holds: Callable[[], Any], seconds: float = DEADLINE) -> Any:
    """Return the first true value of *holds*, or its last one when *seconds* are over."""
    end = time.monotonic() + seconds
    while not (value := holds()) and time.monotonic() < end:
        time.sleep(0.02)
    return value


class Server:
    """One gunicorn, or other *program*, with a gateway, and directories of its own."""

    def __init__(
        self,
        folder: Path,
        upstream_url: str,
        *arguments: str,
        program: Sequence[str] = GUNICORN,
        launcher: Sequence[str] = (sys.executable, "-m"),
        **variables: str,
    ):
        self.folder = folder
        for name in ("home", "tmp", "cwd"):
            (folder / name).mkdir()
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "PYTHONPATH": str(ROOT),
            "PORT": "0",
            "ANTHROPIC_BASE_URL": upstream_url,
            "ANTHROPIC_API_KEY": "sk-test-0123456789",
            "CLAUDE_CODE_MAX_RETRIES": "0",
            "LEGACY_MODELS": "strict",
            "CLAUDE_CLI_PATH": cli.current(),
            **variables,
        }
        self.temporary = Path(environment["TMPDIR"])
        self._forks = program[0] == "gunicorn"
        self._log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [*launcher, *program, *arguments],
            cwd=folder / "cwd",
            env={name: value for name, value in environment.items() if value},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self.port = 0

    def wait(self) -> Server:
        """Wait until processes are ready."""
        self.listen()
        assert eventually(lambda: self.health()["status"] == "ok"), self.log()
        return self

    def listen(self) -> Server:
        """Wait until the server listens, without waiting for its processes."""
        found = eventually(
            lambda: re.search(
                r"(?:Listening at:|Running on|Serving on) http://\S+?:(\d+)\s", self.log()
            )
        )
        assert found, self.log()
        self.port = int(found[1])
        self.url = f"http://127.0.0.1:{self.port}/v1"
        return self

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def ended(self) -> int | None:
        """Return the exit status once the server has ended by itself."""
        self.process.wait(DEADLINE)
        return self.process.returncode

    def stop(self) -> int:
        """End it as an operator does and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(DEADLINE)
        self._log.close()
        return status

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        *,
        timeout: float = DEADLINE,
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers (lower case) and body of one plain request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
            sent = {"Content-Type": "application/json"} if data is not None else {}
            with contextlib.suppress(BrokenPipeError):  # what was refused half-way is answered, too
                connection.request(method, path, data, {**sent, **(headers or {})})
            response = connection.getresponse()
            said = {name.lower(): value for name, value in response.getheaders()}
            return response.status, said, response.read()
        finally:
            connection.close()

    def health(self) -> dict[str, Any]:
        return dict(json.loads(self.call("GET", "/health")[2]))

    def ask(self, text: str, *, headers: dict[str, str] | None = None, **more: Any) -> Any:
        """Return status and parsed body of a completion of one user message."""
        messages = more.pop("messages", [{"role": "user", "content": text}])
        body = {"model": MODEL, "messages": messages, **more}
        status, _, data = self.call("POST", "/v1/chat/completions", body, headers)
        return status, json.loads(data)

    def stream(
        self, text: str, *, headers: dict[str, str] | None = None, **more: Any
    ) -> tuple[list[Any], bytes]:
        """Return the parsed events of a stream, without [DONE], and its raw bytes."""
        body = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": text}]}
        status, _, data = self.call("POST", "/v1/chat/completions", {**body, **more}, headers)
        assert status == 200, data
        lines = [line for line in data.decode().split("\n\n") if line.startswith("data: {")]
        return [json.loads(line.removeprefix("data: ")) for line in lines], data

    @property
    def worker(self) -> int:
        """Return the process that the gateway runs in: gunicorn's child, or the program itself."""
        return children(self.process.pid)[0] if self._forks else self.process.pid

    def claudes(self) -> list[int]:
        """Return the process ids of the Claude Code processes that the server has started."""
        return [pid for pid in children(self.worker) if "stream-json" in command_line(pid)]

    def roots(self) -> list[Path]:
        """Return the directories of gateways' processes."""
        return list(self.temporary.glob("claude-gateway-*"))

    def homes(self) -> list[Path]:
        """Return the directories that belong to Claude Code processes."""
        works = self.temporary.glob("claude-gateway-*/*/work")
        return [work.parent for work in works]

    def at_rest(self) -> dict[str, int]:
        """Wait until only warm and parked processes are left; return what the server holds then."""

        def resting() -> bool:
            health = self.health()
            pools = health["pools"].values()
            ready = sum(pool["ready"] for pool in pools) + health["parked"]
            booting = sum(pool["booting"] for pool in pools)
            return not booting and ready == len(self.claudes()) == len(self.homes())

        assert eventually(resting), (self.health(), self.claudes(), self.homes(), self.log())
        proc = Path("/proc", str(self.worker))
        parked = self.health()["parked"]  # which MAX_PARKED bounds
        return {
            "processes": len(self.claudes()) - parked,
            "directories": len(self.homes()) - parked,
            "descriptors": _descriptors(proc) - 3 * parked,
            "threads": len(list((proc / "task").iterdir())),
            "sockets": open_sockets(),
        }

    def comes_back_to(self, before: dict[str, int]) -> bool:
        """Say whether the server comes to hold no more than *before*, of anything in it.

        A connection that its client has just closed is still counted for a moment.
        """

        def settled() -> bool:
            now = self.at_rest()
            return all(now[name] <= before[name] for name in before)

        self.at_rest()  # which may take long by itself
        return bool(eventually(settled, 50))  # five times what it may need


def children(pid: int) -> list[int]:
    """Return the direct children of *pid*."""
    tasks = Path("/proc", str(pid), "task").glob("*/children")
    return sorted(int(child) for task in tasks for child in _read(task).split())


def command_line(pid: int) -> str:
    return _read(Path("/proc", str(pid), "cmdline")).replace("\0", " ")


def open_sockets() -> int:
    """Return how many Claude Code sockets there are on this machine."""
    return _read(Path("/proc/net/unix")).count("/cc-socks/")


def alive(pid: int) -> bool:
    state = _read(Path("/proc", str(pid), "stat")).rpartition(")")[2].split()
    return bool(state) and state[0] != "Z"


def environments() -> Iterator[tuple[int, bytes]]:
    """Yield what each process was started with."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield int(folder.name), (folder / "environ").read_bytes()


def started_for(folder: Path) -> set[int]:
    """Return the processes that were started with a path in *folder* in their environment."""
    return {pid for pid, seen in environments() if f"{folder}/".encode() in seen}


def _descriptors(proc: Path) -> int:
    """Return how much a process has open, but for its books and its event loops that are to spare.

    Of both it keeps as many as threads have needed at once, of the loops no more than a few.
    """
    found = []
    for descriptor in (proc / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(descriptor))
    # A loop has two sockets beside; one of those counted is the server's.
    loops = min(found.count("anon_inode:[eventpoll]"), MAX_IDLE_LOOPS + 1)
    return sum("usage.db" not in target for target in found) - 3 * loops


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
