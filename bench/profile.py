"""The profile: where the time of a streamed turn goes, on the wall and in the gateway's own code.

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
            tell(app.test_client(), turns)
        finally:
            gateway.close()


def tell(client: FlaskClient, turns: int) -> None:
    """Ask, and print where the time went."""
    for _ in range(5):
        ask(client)
    profile = cProfile.Profile(time.thread_time)
    profile.enable()
    told = [ask(client) for _ in range(turns)]
    profile.disable()
    for part in PARTS:
        print(f"{part:>12} {statistics.median(one[part] for one in told):7.1f} ms")
    functions(profile, turns)


def ask(client: FlaskClient) -> dict[str, float]:
    """Stream one turn; return what Server-Timing tells of it, in milliseconds."""
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
    found = re.findall(r"(\w+);dur=([\d.]+)", answer.headers["server-timing"])
    return {name: float(milliseconds) for name, milliseconds in found}


def functions(profile: cProfile.Profile, turns: int) -> None:
    """Print the functions that took most CPU time themselves, a turn."""
    # `stats` is there, and the stubs do not know it.
    rows = pstats.Stats(profile).stats.items()  # type: ignore[attr-defined]
    taken = sorted(((own, place) for place, (_, _, own, _, _) in rows), reverse=True)
    for own, (file, line, name) in taken[:SHOWN]:
        place = file.replace(ROOT, "").rpartition("site-packages/")[2]
        print(f"{own / turns * 1e6:8.0f} µs  {place}:{line} {name}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
