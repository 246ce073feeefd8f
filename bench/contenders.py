"""The contenders that are asked over HTTP: the gateway, in several ways, and the upstream."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from bench.answer import QUESTION, Answer, Timing, WrongAnswer, text_of
from tests.support.server import DEADLINE, MODEL, Server, eventually

Json = dict[str, Any]

AGENT = "gateway, agent"
HISTORY_TURNS = 100
MESSAGES = [{"role": "user", "content": QUESTION}]


class Contender(Protocol):
    """Answers the question, also in several threads at once."""

    @property
    def name(self) -> str: ...

    def prepare(self) -> None:
        """Wait until it is ready and at rest; not timed."""
        ...

    def ask(self) -> Timing: ...

    def close(self) -> None: ...


class Gateway:
    """The gateway under gunicorn with *size* warm processes, asked over HTTP for a stream.

    *settings* are further settings of it.
    """

    name = "gateway"

    def __init__(self, folder: Path, upstream_url: str, key: str, size: int, **settings: str):
        self._size = size
        self.headers: dict[str, str] = {}  # of its last answer
        self.server = Server(
            folder,
            upstream_url,
            ANTHROPIC_API_KEY=key,
            DEFAULT_PROFILE="plain",
            POOL_SIZE=str(size),
            POOL_SIZE_OTHER="1",
            MAX_PARKED="16",
            **settings,
        ).listen()

    def prepare(self) -> None:
        if not eventually(self._warm):
            raise RuntimeError(f"the pool does not fill: {self.server.health()}")
        self.server.at_rest()

    def ask(
        self,
        messages: Sequence[Json] = MESSAGES,
        profile: str = "plain",
        session_id: str | None = None,
        mcp_servers: Sequence[str] = (),
        headers: Mapping[str, str] = {},
    ) -> Timing:
        body: Json = {"model": MODEL, "messages": messages, "stream": True}
        servers = {"mcp_servers": mcp_servers} if mcp_servers else {}
        body |= {"claude": {"profile": profile, **servers}, "session_id": session_id}
        answer = Answer()
        for event in self.stream("/v1/chat/completions", body, headers):
            for choice in event.get("choices", ()):
                answer.add(choice["delta"].get("content") or "")
        return answer.end()

    def stream(self, path: str, body: Json, headers: Mapping[str, str] = {}) -> Iterator[Json]:
        """Send *body*, and yield the events of the answer as they arrive."""
        return post(self.server.port, path, body, headers, self.headers)

    def resumed(self) -> int:
        """Return how many turns of sessions have found their process parked."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=DEADLINE)
        connection.request("GET", "/v1/sessions/stats")
        with contextlib.closing(connection):
            return int(json.load(connection.getresponse())["resumed_turns"])

    def forget(self, session_id: str) -> None:
        status, _, data = self.server.call("DELETE", f"/v1/sessions/{session_id}")
        if status != 200:
            raise WrongAnswer(f"{session_id}: {data!r}")

    def close(self) -> None:
        self.server.stop()

    def _warm(self) -> bool:
        pools = self.server.health()["pools"]
        booting = any(pool["booting"] for pool in pools.values())
        ready = pools["plain"]["ready"] == self._size and pools["agent"]["ready"]
        return bool(ready and not booting)


class AgentTurn:
    """The same gateway, asked for an agent's turn."""

    name = AGENT

    def __init__(self, gateway: Gateway):
        self._gateway = gateway

    def prepare(self) -> None:
        self._gateway.prepare()

    def ask(self) -> Timing:
        return self._gateway.ask(profile="agent")

    def close(self) -> None:
        """Do nothing: the gateway is a contender of its own."""


class LongConversation:
    """The same gateway, asked after HISTORY_TURNS turns of a conversation."""

    def __init__(self, gateway: Gateway, profile: str):
        self._gateway = gateway
        self._profile = profile
        self.name = f"{profile}, {HISTORY_TURNS} turns before"

    def prepare(self) -> None:
        self._gateway.prepare()

    def ask(self) -> Timing:
        return self._gateway.ask([*_history(), *MESSAGES], self._profile)

    def close(self) -> None:
        """Do nothing: the gateway is a contender of its own."""


def _history() -> Iterator[Json]:
    for number in range(HISTORY_TURNS):
        yield {"role": "user", "content": f"Question {number}, of some words."}
        yield {"role": "assistant", "content": f"Answer {number}, of some words more."}


class UpstreamDirect:
    """The scripted upstream itself, asked over HTTP for a stream."""

    name = "upstream"

    def __init__(self, upstream_url: str, key: str):
        self._port = int(upstream_url.rpartition(":")[2])
        self._headers = {"x-api-key": key, "anthropic-version": "2023-06-01"}

    def prepare(self) -> None:
        """Do nothing: it always serves."""

    def ask(self) -> Timing:
        body = {"model": MODEL, "messages": MESSAGES, "max_tokens": 1024, "stream": True}
        answer = Answer()
        for event in post(self._port, "/v1/messages", body, self._headers):
            answer.add(text_of(event))
        return answer.end()

    def close(self) -> None:
        """Do nothing: `serving` ends it."""


def post(
    port: int,
    path: str,
    body: Json,
    headers: Mapping[str, str] = {},
    answer_headers: dict[str, str] | None = None,
) -> Iterator[Json]:
    """Send *body* on a new connection, and yield the events of the answer as they arrive.

    *answer_headers* gets the answer's headers, with their names in lower case.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    sent = {"Content-Type": "application/json", **headers}
    try:
        connection.request("POST", path, json.dumps(body).encode(), sent)
        response = connection.getresponse()
        if answer_headers is not None:
            answer_headers.update((name.lower(), value) for name, value in response.getheaders())
        if response.status != 200:
            raise WrongAnswer(f"status {response.status}: {response.read()[:500]!r}")
        while line := response.readline():
            if line.startswith(b"data: {"):
                yield json.loads(line[6:])
    finally:
        connection.close()
