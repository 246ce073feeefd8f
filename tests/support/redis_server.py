"""A real redis-server on loopback, which tests may stop and start again."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from pathlib import Path

from tests.support.cli import missing

DEADLINE = 20.0


class RedisServer:
    """A redis-server with its data in *folder* and more command line *options*.

    It keeps nothing when it stops, unless an option says so.
    """

    def __init__(self, folder: Path, *options: str):
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, port: int | None = None) -> RedisServer:
        """Start it on *port*, or a free one, and wait until it accepts connections."""
        program = shutil.which("redis-server")
        if not program:
            missing("redis-server to test with: apt-get install redis-server")
        self.port = port or free_port()
        places = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        self._process = subprocess.Popen(
            [str(program), *places, "--save", "", *self._options], stdout=subprocess.PIPE
        )
        assert self._process.stdout
        said = []
        for line in self._process.stdout:
            said.append(line.decode(errors="replace"))
            if b"Ready to accept connections" in line:
                return self
        self.stop()
        raise AssertionError(f"redis-server does not start: {''.join(said)}")

    def stop(self) -> None:
        """Stop it, if it runs."""
        if self._process:
            self._process.kill()
            self._process.wait(DEADLINE)
            assert self._process.stdout
            self._process.stdout.close()
            self._process = None

    def freeze(self) -> None:
        """Stop its process with SIGSTOP, as on a machine that hangs, until `thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process
        self._process.send_signal(number)


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])
