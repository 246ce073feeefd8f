"""Profile where a streamed turn spends its time: by the clock, and in the gateway's own code.

python -m bench.profile [TURNS]
"""

from __future__ import annotations

import cProfile
import json
import os
import pstats
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

from flask.testing import FlaskClient

from bench.answer import QUESTION
from bench.upstream import serving
from tests.support import cli
from tests.support.server import MODEL, eventually
from wrapper import create_app
from wrapper.settings import load

TURNS = 40
SHOWN = 18
PARTS = ("queue", "lease", "configure", "first_token")
ROOT = f"{Path(__file__).parents[1]}/"


def main(turns: int = TURNS) -> None:
    with tempfile.TemporaryDirectory() as home, serving() as url:
        os.environ.update(
            HOME=home,
            ANTHROPIC_BASE_URL=url,
            ANTHROPIC_API_KEY="sk-bench-0123456789",
            CLAUDE_CLI_PATH=cli.current(),
            DEFAULT_PROFILE="plain",
            POOL_RECYCLE="true",
            LOG_LEVEL="warning",
        )
        app = create_app(load())
        gateway = app.extensions["wrapper"]
        gateway.start()
        try:
            if not eventually(lambda: gateway.health()["status"] == "ok"):
                raise RuntimeError(str(gateway.health()))
            print_profile(app.test_client(), turns)
        finally:
            gateway.close()


def print_profile(client: FlaskClient, turns: int) -> None:
    """Ask, and print where the time goes."""
    for _ in range(5):
        ask(client)
    profile = cProfile.Profile(time.thread_time)
    profile.enable()
    timings = [ask(client) for _ in range(turns)]
    profile.disable()
    for part in PARTS:
        print(f"{part:>12} {statistics.median(timing[part] for timing in timings):7.1f} ms")
    print_functions(profile, turns)


def ask(client: FlaskClient) -> dict[str, float]:
    """Stream one turn; return its times in Server-Timing, in milliseconds."""
    body = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
    answer = client.post(
        "/v1/chat/completions",
        data=json.dumps(body),
        headers={
            "Content-Type": "application/json",
            "Host": "127.0.0.1",
        },
    )
    if b"[DONE]" not in answer.data:
        raise RuntimeError(answer.text)
    durations = re.findall(r"(\w+);dur=([\d.]+)", answer.headers["server-timing"])
    return {name: float(milliseconds) for name, milliseconds in durations}


def print_functions(profile: cProfile.Profile, turns: int) -> None:
    """Print the functions with the most CPU time of their own in a turn."""
    # The stubs lack the attribute `stats`.
    rows = pstats.Stats(profile).stats.items()  # type: ignore[attr-defined]
    taken = sorted(((own, function) for function, (_, _, own, _, _) in rows), reverse=True)
    for own, (file, line, name) in taken[:SHOWN]:
        path = file.replace(ROOT, "").rpartition("site-packages/")[2]
        print(f"{own / turns * 1e6:8.0f} µs  {path}:{line} {name}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
