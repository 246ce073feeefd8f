"""A gateway under gunicorn, started as an operator would start it, and observed from outside."""

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
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.support import cli
from wrapper.services.turns.turn_loop import MAX_IDLE_LOOPS

ROOT = Path(__file__).parents[2]
# One trial of each Claude Code is enough for all gateways.
TRIALS = ROOT / ".envs" / "trials"
MODEL = "claude-sonnet-4-20250514"
DEADLINE = 120.0  # for what happens at once on a machine that is not busy
GUNICORN = ("gunicorn", "-c", str(ROOT / "gunicorn.conf.py"), "wsgi:app")
FLASK = ("flask", "--app", "wsgi", "run", "--port", "0")


def eventually(holds: Callable[[], Any], seconds: float = DEADLINE) -> Any:
    """Return the first true value of *holds*, or its last one after *seconds*.

    The pauses grow, because asking takes time from the processes that are waited for.
    """
    end, pause = time.monotonic() + seconds, 0.01
    while not (value := holds()) and time.monotonic() < end:
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
    return value


class Server:
    """A gateway under gunicorn or another *program*, with directories of its own."""

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
        variables = {
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
            "TRIALS_DIR": str(TRIALS),
            **variables,
        }
        self.environment = {name: value for name, value in variables.items() if value}
        self.temporary = Path(variables["TMPDIR"])
        self._forks = program[0] == "gunicorn"
        self._log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [*launcher, *program, *arguments],
            cwd=folder / "cwd",
            env=self.environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self.port = 0

    def wait(self) -> Server:
        """Wait until processes are warm, even if another part, such as Redis, is not ready."""
        self.listen()
        assert eventually(self._warm), self.log()
        return self

    def _warm(self) -> bool:
        health = self.health()
        pools = health.get("pools", {"other engine": {"status": "ready"}})
        ready = pools and all(pool["status"] == "ready" for pool in pools.values())
        trials = health.get("trials", {}).values()
        runs = any(trial["status"] == "running" for trial in trials)
        return bool(ready) and health["status"] != "starting" and not runs

    def listen(self) -> Server:
        """Wait until the server listens, but not for its processes."""
        listening = eventually(
            lambda: re.search(
                r"(?:Listening at:|Running on|Serving on) http://\S+?:(\d+)\s", self.log()
            )
        )
        assert listening, self.log()
        self.port = int(listening[1])
        self.url = f"http://127.0.0.1:{self.port}/v1"
        return self

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def ended(self) -> int | None:
        """Wait until the server exits by itself, and return its exit status."""
        self.process.wait(DEADLINE)
        return self.process.returncode

    def stop(self) -> int:
        """Stop it as an operator does, and return its exit status."""
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
        """Return status, headers (lower case) and body of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
            sent = {"Content-Type": "application/json"} if data is not None else {}
            with contextlib.suppress(BrokenPipeError):  # a refusal in mid-request is an answer, too
                connection.request(method, path, data, {**sent, **(headers or {})})
            response = connection.getresponse()
            lower = {name.lower(): value for name, value in response.getheaders()}
            return response.status, lower, response.read()
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
        """Return the process of the gateway: gunicorn's child, or the program itself."""
        return children(self.process.pid)[0] if self._forks else self.process.pid

    def claudes(self) -> list[int]:
        """Return the ids of the Claude Code processes that the server has started."""
        return [pid for pid in children(self.worker) if "stream-json" in command_line(pid)]

    def roots(self) -> list[Path]:
        """Return the runtime directories of the gateway."""
        return list(self.temporary.glob("claude-gateway-*"))

    def homes(self) -> list[Path]:
        """Return the directories of the Claude Code processes."""
        works = self.temporary.glob("claude-gateway-*/*/work")
        return [work.parent for work in works]

    def at_rest(self) -> dict[str, int]:
        """Wait until only warm and parked processes are left; return the server's resources."""

        def resting() -> bool:
            health = self.health()
            pools = health["pools"].values()
            ready = sum(pool["ready"] for pool in pools) + health["parked"]
            booting = sum(pool["booting"] for pool in pools)
            return not booting and ready == len(self.claudes()) == len(self.homes())

        assert eventually(resting), (self.health(), self.claudes(), self.homes(), self.log())
        proc = Path("/proc", str(self.worker))
        parked = self.health()["parked"]  # their number is bounded by MAX_PARKED
        return {
            "processes": len(self.claudes()) - parked,
            "directories": len(self.homes()) - parked,
            "descriptors": _descriptors(proc) - 3 * parked,
            "threads": len(list((proc / "task").iterdir())),
            "sockets": open_sockets(self.claudes()),
        }

    def comes_back_to(self, before: dict[str, int]) -> bool:
        """Say whether the server comes to hold no more than *before* of any resource.

        A connection that its client has just closed still counts for a moment.
        """

        def settled() -> bool:
            now = self.at_rest()
            return all(now[name] <= before[name] for name in before)

        self.at_rest()  # this may take long by itself
        return bool(eventually(settled, 50))  # five times what it may need


def children(pid: int) -> list[int]:
    """Return the direct children of *pid*."""
    tasks = Path("/proc", str(pid), "task").glob("*/children")
    return sorted(int(child) for task in tasks for child in _read(task).split())


def command_line(pid: int) -> str:
    return _read(Path("/proc", str(pid), "cmdline")).replace("\0", " ")


def open_sockets(pids: Iterable[int]) -> int:
    """Return how many sockets are open on which others find these processes of Claude Code."""
    sockets = _read(Path("/proc/net/unix"))
    return sum(sockets.count(f"/{pid}.sock") for pid in pids)


def connected(pids: Iterable[int]) -> int | None:
    """Return the first of the processes that has a connection to the upstream."""
    for pid in pids:
        try:
            links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        except OSError:
            continue
        inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
        with open("/proc/net/tcp") as table:
            rows = [line.split() for line in table][1:]
        if any(row[9] in inodes and row[3] == "01" for row in rows):
            return pid
    return None


def alive(pid: int) -> bool:
    state = _read(Path("/proc", str(pid), "stat")).rpartition(")")[2].split()
    return bool(state) and state[0] != "Z"


def environments() -> Iterator[tuple[int, bytes]]:
    """Yield each process id with the environment that the process was started with."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield int(folder.name), (folder / "environ").read_bytes()


def started_for(folder: Path) -> set[int]:
    """Return the processes whose environment names a path in *folder*."""
    return {pid for pid, variables in environments() if f"{folder}/".encode() in variables}


def _descriptors(proc: Path) -> int:
    """Return how many descriptors a process has open, without idle event loops and usage.db.

    A process keeps as many of both as its threads have needed at once, and only a few of the loops.
    """
    targets = []
    for descriptor in (proc / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            targets.append(os.readlink(descriptor))
    # Each loop also has two sockets. One of the loops is the server's own.
    loops = min(targets.count("anon_inode:[eventpoll]"), MAX_IDLE_LOOPS + 1)
    return sum("usage.db" not in target for target in targets) - 3 * loops


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
