"""The scripted upstream in a process of its own, so that it shares no lock with who is timed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from wrapper.testing.upstream import Upstream


@contextmanager
def serving() -> Iterator[str]:
    """Serve in another process and give the address; it ends with this one's, or when left."""
    command = [sys.executable, "-m", "bench.upstream"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as served:
        assert served.stdout  # noqa: S101 - it was asked for
        yield served.stdout.readline().strip()
        served.communicate()


def main() -> None:
    print(Upstream().start().url, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
