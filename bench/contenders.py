"""The contenders: everything that answers the question, asked and timed in one way."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from bench.answer import QUESTION, Answer, Timing, WrongAnswer
from tests.support.server import DEADLINE, MODEL, Server, eventually
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.profiles import Profile
from wrapper.services.claude.protocol import frames
from wrapper.services.turn import Message, Turn

Json = dict[str, Any]

AGENT = "gateway, agent"
BOOT_SECONDS = 30.0
HISTORY_TURNS = 100
MESSAGES = [{"role": "user", "content": QUESTION}]
TURN = Turn(MODEL, (Message("user", (QUESTION,)),), profile="plain")
# Flags of the plain profile that `claude -p` does without: it asks once, and streams no input.
NOT_PRINTED = ("--input-format", "--max-budget-usd")


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


class ClaudePrint:
    """`claude -p`, started for the question; its total is until it has ended."""

    def __init__(
        self, name: str, command: Sequence[str], variables: Mapping[str, str], folder: Path
    ):
        self.name = name
        self._command = [*command, "-p", QUESTION, "--model", MODEL]
        self._variables = variables
        self._folder = folder

    def prepare(self) -> None:
        """Do nothing: it always starts cold."""

    def ask(self) -> Timing:
        answer = Answer()
        with subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            cwd=self._folder,
            env=dict(self._variables),
        ) as process:
            _add_frames(_frames(process.stdout or ()), answer)
        if process.returncode:
            raise WrongAnswer(f"{self.name} ended with {process.returncode}")
        return answer.end()

    def close(self) -> None:
        """Do nothing: it has ended."""


class BareProcess:
    """Warm processes like the gateway's, driven over their pipes; the oldest first.

    Like the gateway's, its time includes the configuration by the same frames.
    """

    name = "bare process"

    def __init__(self, binary: str, profile: Profile, root: Path, size: int):
        self._binary, self._profile, self._root = binary, profile, root
        self._size = size
        self._warm: deque[Process] = deque()

    def prepare(self) -> None:
        while len(self._warm) < self._size:
            self._warm.append(Process(self._profile, self._binary, self._root))
            self._warm[-1].boot(BOOT_SECONDS, early=self._profile.alike)

    def ask(self) -> Timing:
        process = self._warm.popleft()
        try:
            return converse(process, TURN, opening(process, TURN))
        finally:
            process.stop()

    def close(self) -> None:
        while self._warm:
            self._warm.pop().stop()


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
            answer.add(_text(event))
        return answer.end()

    def close(self) -> None:
        """Do nothing: `serving` ends it."""


def printed(profile: Profile) -> list[str]:
    """Return the flags that `claude -p` shares with a process of this profile."""
    kept: list[str] = []
    skip = False
    for argument in profile.arguments:
        if not skip and argument not in NOT_PRINTED:
            kept.append(argument)
        skip = argument in NOT_PRINTED
    return kept


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


def opening(process: Process, turn: Turn) -> list[Json]:
    """Return the frames with which the gateway configures a fresh process."""
    return frames.configuration(turn, frames.settings(turn), initialized=process.initialized)


def converse(process: Process, turn: Turn, requests: Sequence[Json]) -> Timing:
    """Configure a process with *requests*, ask it, and time its answer up to its result."""
    stdin, stdout, _ = process.pipes
    answer = Answer()
    with os.fdopen(os.dup(stdout), "rb") as lines:
        received = _frames(lines)
        _send(stdin, requests)
        unconfirmed = {request["request_id"] for request in requests}
        while unconfirmed:
            unconfirmed.discard(_confirmed(next(received)))
        _send(stdin, [frames.prompt(turn)])
        _add_frames(received, answer)
    return answer.end()


def _confirmed(frame: Json) -> str:
    """Return the id of the request that *frame* confirms, or an empty string."""
    response = frame.get("response", {}) if frame["type"] == "control_response" else {}
    return str(response.get("request_id", "")) if response.get("subtype") == "success" else ""


def _send(descriptor: int, requests: Iterable[Json]) -> None:
    os.write(descriptor, b"".join(json.dumps(request).encode() + b"\n" for request in requests))


def _add_frames(received: Iterable[Json], answer: Answer) -> None:
    """Add the frames of a process to *answer*, up to its result."""
    for frame in received:
        if frame["type"] == "stream_event":
            answer.add(_text(frame["event"]))
        if frame["type"] == "result":
            return


def _frames(lines: Iterable[bytes]) -> Iterator[Json]:
    return (json.loads(line) for line in lines)


def _text(event: Json) -> str:
    """Return the text of a Messages API event."""
    return str(event.get("delta", {}).get("text", ""))
