"""The demo `claude-code-gateway demo [PORT]`: gateway, SDK and CLI with a scripted model.

It needs no account and no network, and uses none. The gateway gets only the environment variables
in PASSED, and a home, a temporary and a working directory that are removed at the end. It runs the
CLI of the package claude-agent-sdk, or without that package the one that a gateway would choose.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from wrapper.services.claude.processes import binary
from wrapper.smoke import Client
from wrapper.testing import script
from wrapper.testing.upstream import Upstream

FIRST_LINE = "The model is scripted: it answers what the message asks for, and no Claude is asked."
# CLAUDE_CLI_PATH names a program, and reveals no account.
PASSED = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "CLAUDE_CLI_PATH", "PORT")
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TICK = 0.1
READY_SECONDS = 90.0
WRITE_AND_LIST = (
    '[[tool Write {"file_path": "hello.txt", "content": "hello"}]] [[tool Bash {"command": "ls"}]]'
)

_LISTENING = re.compile(r"Listening at: (http://\S+)")
_PROGRESS = re.compile(r" INFO +gunicorn\.")


class DemoGateway:
    """The gateway in a process of its own. `url` is its address, once it listens."""

    def __init__(self, folder: Path, upstream_url: str, port: int | None):
        self.url = ""
        for name in ("home", "tmp", "work"):
            (folder / name).mkdir()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "claude_code_gateway", "serve", *_given(port)],
            cwd=folder / "work",  # which has no .env
            env=variables(folder, upstream_url, os.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that only this process gets Ctrl-C
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def runs(self) -> bool:
        return self._process.poll() is None

    def health(self) -> str:
        """Return its status, which is "starting" before it listens."""
        if not self.url:
            return "starting"
        try:
            return str(json.loads(Client(self.url).call("GET", "/health")[1])["status"])
        except (OSError, http.client.HTTPException, ValueError):
            return "starting"

    def stop(self) -> None:
        if self.runs():
            self._process.terminate()
        self._process.wait()
        self._listener.join()

    def _listen(self) -> None:
        """Pass on its log, except for gunicorn's progress."""
        for line in self._process.stderr or ():
            if match := _LISTENING.search(line):
                self.url = match[1]
            if not _PROGRESS.search(line):
                sys.stderr.write(line)
                sys.stderr.flush()


def variables(folder: Path, upstream_url: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the gateway's whole environment, without variables that lead to an account."""
    return {
        **{name: environment[name] for name in PASSED if name in environment},
        **({binary.SETTING: bundled} if (bundled := binary.bundled()) else {}),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "HOST": "127.0.0.1",
        "ANTHROPIC_BASE_URL": upstream_url,
        "ANTHROPIC_API_KEY": "sk-scripted",
        "CLAUDE_CODE_MAX_RETRIES": "0",
        "GRACEFUL_TIMEOUT": "1",
        "LOG_LEVEL": "error",  # one of the examples fails, which is a warning
    }


def examples(url: str) -> list[tuple[str, str]]:
    """Return examples, each with its command line."""
    return [
        ("A question:", _curl(url, "Say hello.")),
        (
            "A stream, a word every 0.2 s:",
            _curl(url, "[[deltas 20]] [[pause 0.2]]", "-sN", stream=True),
        ),
        (
            "A tool call and its result:",
            _curl(url, f"{WRITE_AND_LIST} [[result]]", claude={"show_tool_use": True}),
        ),
        ("An error of the model's API:", _curl(url, "[[error 429]]", "-si")),
    ]


def main(port: int | None) -> int:
    """Serve on *port*, or else on PORT, until a signal arrives, and return the exit status."""
    # A polled list: an Event that a handler sets could wait for a lock that this thread holds.
    signals: list[int] = []
    for number in ENDING:
        signal.signal(number, lambda number, _: signals.append(number))
    print(FIRST_LINE, flush=True)
    with _serving(port) as gateway:
        until = time.monotonic() + READY_SECONDS
        while not signals and gateway.runs() and gateway.health() == "starting":
            if time.monotonic() > until:
                break
            time.sleep(TICK)
        status = gateway.health()
        if not signals and (status != "ok" or not gateway.runs()):
            print(f"The gateway does not start ({status}).", file=sys.stderr)
            return 1
        if not signals:
            _print_examples(gateway.url)
        while not signals and gateway.runs():
            time.sleep(TICK)
    return 0 if signals else 1


@contextlib.contextmanager
def _serving(port: int | None) -> Iterator[DemoGateway]:
    with (
        tempfile.TemporaryDirectory(prefix="claude-demo-") as folder,
        contextlib.ExitStack() as end,
    ):
        upstream = Upstream().start()
        end.callback(upstream.stop)
        gateway = DemoGateway(Path(folder), upstream.url, port)
        end.callback(gateway.stop)
        yield gateway


def _print_examples(url: str) -> None:
    for title, command in examples(url):
        print(f"\n{title}\n{command}")
    print(f"\n{script.__file__} lists what else it can answer. Ctrl-C ends it.", flush=True)


def _curl(url: str, text: str, *options: str, **more: object) -> str:
    body = json.dumps({**more, "messages": [{"role": "user", "content": text}]})
    command = ["curl", *(options or ("-s",)), f"{url}/v1/chat/completions"]
    header = ["-H", "Content-Type: application/json"]
    return shlex.join([*command, *header, "-d", body])


def _given(port: int | None) -> list[str]:
    return [] if port is None else [str(port)]
