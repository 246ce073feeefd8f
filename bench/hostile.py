"""Measure how much ten callers with costly requests delay the first tokens of others.

python -m bench.hostile [ROUNDS]

It exits with 1 if the first token takes more than MOST times as long.
"""

from __future__ import annotations

import base64
import http.client
import io
import itertools
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from PIL import Image

from bench.upstream import serving
from tests.support.server import DEADLINE, MODEL, Server
from tests.support.socket_client import Client, request

MOST = 1.5
CALLERS = 10
ROUNDS = 30
# The next process boots meanwhile, so that each first token finds a warm one and no boot of its
# own making. Beside hostile callers a boot takes up to a second.
BOOT_SECONDS = 1.5
# The attack is under way after this long.
ATTACK_SECONDS = 2.0
PATH = "/v1/chat/completions"
LEVELS = 60
ANSWER = '{"x": ' + "[" * LEVELS + '""' + "]" * LEVELS + "}"
SETTINGS = {"DEFAULT_PROFILE": "plain", "POOL_SIZE": "4", "POOL_SIZE_OTHER": "0"}


def costly_schema(number: int) -> dict[str, Any]:
    """Return a response format whose check takes twice as long with each level of the answer."""
    again = {"anyOf": [{"$ref": "#/$defs/a"}] * 2}
    lists = {"anyOf": [{"type": "integer"}, {"type": "array", "items": again}]}
    schema = {"type": "object", "properties": {"x": {"$ref": "#/$defs/a"}}, "title": str(number)}
    named = {"name": "slow", "schema": {**schema, "$defs": {"a": lists}}}
    return {"type": "json_schema", "json_schema": named}


def costly_image(scans: int = 100, side: int = 8000) -> str:
    """Return a progressive JPEG, as a data URI, that takes as much work as an image can."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side)).save(buffer, "jpeg", progressive=True)
    data = buffer.getvalue()
    last = data.rindex(b"\xff\xda")
    before, scan = data[:last], data[last:-2]
    data = before + scan * (scans - before.count(b"\xff\xda")) + data[-2:]
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


def bodies(image: str) -> Iterator[bytes]:
    """Yield requests that cost as much as possible: schemas, images, values and bytes in turn."""
    for number in itertools.count():
        yield _body([], response_format=costly_schema(number))
        yield _body([{"type": "image_url", "image_url": {"url": image}}])
        yield b'{"messages": [' + b"[]," * 10_000_000 + b"1]}"
        yield b'{"a": "' + bytes(33 * 1024**2)


def _body(parts: list[Any], **more: Any) -> bytes:
    content = [
        {
            "type": "text",
            "text": f"[[json {ANSWER}]]" if "response_format" in more else "[[say hi]]",
        },
        *parts,
    ]
    return json.dumps(
        {"model": MODEL, "messages": [{"role": "user", "content": content}], **more}
    ).encode()


@contextmanager
def attacked(server: Server) -> Iterator[None]:
    """Let CALLERS send such requests, each one after another.

    They have a process of their own, so that they delay the gateway and not the measurement.
    """
    context = multiprocessing.get_context("spawn")
    begun = context.Event()
    attackers = context.Process(target=attack, args=(server.port, begun))
    attackers.start()
    try:
        begun.wait(DEADLINE)
        yield
    finally:
        attackers.kill()
        attackers.join()


def attack(port: int, begun: Event) -> None:
    """Send costly requests to *port* without end."""
    image = costly_image()

    def call(first: int) -> None:
        for body in itertools.islice(bodies(image), first, None):
            with suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
                with closing(connection):
                    connection.request("POST", PATH, body, {"Content-Type": "application/json"})
                    connection.getresponse().read()

    with ThreadPoolExecutor(CALLERS) as callers:
        calls = callers.map(call, range(CALLERS))
        begun.set()
        list(calls)


def first_token(server: Server) -> float:
    """Return the seconds until a stream's first token."""
    began = time.perf_counter()
    with Client(server) as client:
        client.send(request("[[deltas 3]]", stream=True))
        if b'"w1"' not in client.read_until(b'"w1"'):
            raise RuntimeError(client.said)
        return time.perf_counter() - began


def measure(server: Server, rounds: int) -> float:
    """Return the median of the first tokens' times, with a pause for the next process to boot."""
    times = []
    for _ in range(rounds):
        times.append(first_token(server))
        time.sleep(BOOT_SECONDS)
    return statistics.median(times)


def main(rounds: int = ROUNDS) -> int:
    with tempfile.TemporaryDirectory(prefix="hostile") as folder, serving() as url:
        server = Server(Path(folder), url, **SETTINGS)
        try:
            server.wait()
            measure(server, 3)
            alone = measure(server, rounds)
            with attacked(server):
                time.sleep(ATTACK_SECONDS)
                beside = measure(server, rounds)
        finally:
            server.stop()
    ratio = beside / alone
    print(
        f"alone {alone * 1000:.0f} ms, beside hostile callers {beside * 1000:.0f} ms: {ratio:.2f} x"
    )
    return 1 if ratio > MOST else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
