"""The scripted upstream in its own process, so that it shares no lock with what is timed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from wrapper.testing.upstream import Upstream


@contextmanager
def serving() -> Iterator[str]:
    """Yield the address of an upstream in another process, which ends with the context."""
    command = [sys.executable, "-m", "bench.upstream"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as served:
        assert served.stdout  # noqa: S101 - for mypy: stdout is a pipe
        yield served.stdout.readline().strip()
        served.communicate()


def main() -> None:
    print(Upstream().start().url, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
