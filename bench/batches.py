"""Batches: their turns a second beside those of clients, and what a batch costs clients."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

from bench.answer import QUESTION, WrongAnswer
from bench.contenders import Gateway
from bench.load import rate_of
from tests.support.server import MODEL, Server, eventually
from wrapper.services.batches.batch import ENDED

LINES = 240
# As many as clients may ask beside, however quick the machine is.
MANY_LINES = 10_000
QUESTIONS = 20
ENDPOINT = "/v1/chat/completions"
LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class BatchRound:
    """*lines* are a batch's turns a second, and *clients* those of clients on the same gateway.

    *alone* and *beside* are the seconds until the first token of a client's request, without and
    with a batch that runs.
    """

    lines: float
    clients: float
    alone: float
    beside: float


def batches(folder: Path, url: str, key: str, rounds: int) -> Sequence[BatchRound]:
    """Measure batches of short questions of the profile plain, on recycled processes."""
    gateway = Gateway(folder, url, key, 2)
    try:
        return [_measure(gateway) for _ in range(rounds)]
    finally:
        gateway.close()


def _measure(gateway: Gateway) -> BatchRound:
    gateway.prepare()
    clients = rate_of(gateway.server, LINES)
    lines = _rate(gateway.server, _begin(gateway.server, LINES))
    gateway.prepare()
    alone = _first_token(gateway)
    beside = _beside(gateway)
    return BatchRound(lines, clients, alone, beside)


def _beside(gateway: Gateway) -> float:
    """Return the time to first token while a batch runs, whose processes have booted."""
    server = gateway.server
    batch = _begin(server, MANY_LINES)
    _wait(server, batch, LINES // 4)
    seconds = _first_token(gateway)
    if (status := _read(server, batch)["status"]) != "in_progress":
        raise WrongAnswer(f"the batch was to run meanwhile, and is {status}")
    server.call("POST", f"/v1/batches/{batch}/cancel", {})
    if not eventually(lambda: _read(server, batch)["status"] in ENDED):
        raise WrongAnswer(f"the batch does not end: {_read(server, batch)}")
    return seconds


def _first_token(gateway: Gateway) -> float:
    return statistics.median(gateway.ask().first for _ in range(QUESTIONS))


def _begin(server: Server, count: int) -> str:
    """Begin a batch of so many questions, and return its id."""
    messages = [{"role": "user", "content": QUESTION}]
    body = {"model": MODEL, "messages": messages}
    lines = (
        json.dumps({"custom_id": str(n), "method": "POST", "url": ENDPOINT, "body": body})
        for n in range(count)
    )
    head = (
        '--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--x\r\n'
        'Content-Disposition: form-data; name="file"; filename="questions.jsonl"\r\n\r\n'
    )
    form = head + "\n".join(lines) + "\r\n--x--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    file = json.loads(server.call("POST", "/v1/files", form.encode(), kind)[2])
    request = {"input_file_id": file["id"], "endpoint": ENDPOINT, "completion_window": "24h"}
    return str(json.loads(server.call("POST", "/v1/batches", request)[2])["id"])


def _read(server: Server, id_: str) -> Any:
    return json.loads(server.call("GET", f"/v1/batches/{id_}")[2])


def _wait(server: Server, id_: str, count: int) -> float:
    """Wait until so many lines have answers, and return when that was."""
    while (batch := _read(server, id_))["request_counts"]["completed"] < count:
        if batch["request_counts"]["failed"]:
            raise WrongAnswer(f"{batch!r:.500}")
        sleep(LOOK_SECONDS)
    return perf_counter()


def _rate(server: Server, id_: str) -> float:
    """Return the lines a second after the first quarter, whose processes may have to boot."""
    first = LINES // 4
    begun = _wait(server, id_, first)
    return (LINES - first) / (_wait(server, id_, LINES) - begun)
