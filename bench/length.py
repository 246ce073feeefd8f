"""Count how often Claude Code asks the model to continue at max_tokens before it is killed.

python -m bench.length [TURNS]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.support.server import Server
from wrapper.testing.upstream import Upstream


def main(turns: int) -> None:
    upstream = Upstream().start()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder), upstream.url, POOL_SIZE="2", POOL_SIZE_OTHER="2").wait()
        try:
            for profile in ("plain", "agent"):
                extra = sum(count(server, upstream, profile) - 1 for _ in range(turns))
                print(f"{profile}: {extra} requests too many in {turns} turns")
        finally:
            server.stop()
            upstream.stop()


def count(server: Server, upstream: Upstream, profile: str) -> int:
    """Return how many upstream requests a turn that ends at max_tokens makes."""
    server.at_rest()
    upstream.clear()
    text = "[[deltas 5]] [[stop max_tokens]]"
    status, body = server.ask(text, max_tokens=5, claude={"profile": profile})
    if status != 200 or body["choices"][0]["finish_reason"] != "length":
        sys.exit(f"unexpected answer: {body}")
    server.at_rest()
    return len(upstream.requests)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
