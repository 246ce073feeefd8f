"""Streams of the Responses API beside those of chat completions, with a small and a long request.

The gateway answers both in the same rounds. The long request has as many tools and as long
instructions as one of Codex, about 50 kB, which three events of a response's stream repeat.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.answer import QUESTION, Answer, Timing
from bench.contenders import Gateway, post
from bench.cost import cpu_seconds, served
from bench.figures import Round
from bench.own import MODEL as OWN_MODEL
from tests.support.server import MODEL, Server

Json = dict[str, Any]

STREAMS = 50
DELTAS = 400
CHAT, RESPONSES = "chat completions", "responses"
SIZES = ("small request", "Codex's request")
PATHS = {CHAT: "/v1/chat/completions", RESPONSES: "/v1/responses"}
INSTRUCTIONS = "Work in small steps, and say what you do. " * 400
FUNCTIONS: Sequence[Json] = [
    {
        "name": f"tool_{number}",
        "description": "Runs a command in the user's shell and returns what it prints. " * 8,
        "parameters": {
            "type": "object",
            "properties": {
                name: {"type": "string", "description": f"What {name} the command needs."}
                for name in ("command", "workdir", "justification", "shell")
            },
            "required": ["command"],
        },
    }
    for number in range(40)
]


@dataclass(frozen=True)
class Fronts:
    """`rounds` are those of the contenders. `event`, by size of the request, is the CPU time of an
    event of a response's stream as a part of that of a chat completion's chunk."""

    rounds: Sequence[Round]
    event: Mapping[str, float]


class FrontTurn:
    """The gateway, asked through one API with a request of one size."""

    def __init__(self, gateway: Gateway, front: str, size: str):
        self.name = f"{front}, {size}"
        self._gateway = gateway
        self._front = front
        self._size = size

    def prepare(self) -> None:
        self._gateway.prepare()

    def ask(self) -> Timing:
        body = {"model": MODEL, **_body(self._front, self._size, QUESTION)}
        answer = Answer()
        for event in self._gateway.stream(PATHS[self._front], body):
            answer.add(_text(event))
        return answer.end()

    def close(self) -> None:
        """Do nothing: the gateway is a contender of its own."""


def front_turns(gateway: Gateway) -> Iterator[FrontTurn]:
    """Yield a contender for each API and size."""
    for size in SIZES:
        for front in PATHS:
            yield FrontTurn(gateway, front, size)


def event_ratios(folder: Path, rounds: int) -> Mapping[str, float]:
    """Return the ratios of Fronts.event, of a server below *folder* whose engine costs nothing."""
    with served(folder, "gateway", LOG_LEVEL="warning") as server:
        return {size: _ratio(server, size, rounds) for size in SIZES}


def _ratio(server: Server, size: str, rounds: int) -> float:
    """Return the median of the ratios, taken round by round, after one that is discarded."""
    cost = partial(_event, server, size)
    ratios = []
    for number in range(rounds + 1):
        first, second = (CHAT, RESPONSES) if number % 2 else (RESPONSES, CHAT)
        seconds = {first: cost(first), second: cost(second)}
        ratios.append(seconds[RESPONSES] / seconds[CHAT])
    return statistics.median(ratios[1:])


def _event(server: Server, size: str, front: str) -> float:
    """Return the CPU seconds of an event, over STREAMS whole streams."""
    body = {"model": OWN_MODEL, **_body(front, size, f"[[deltas {DELTAS}]]")}
    began = cpu_seconds(server.worker)
    events = sum(1 for _ in range(STREAMS) for _ in post(server.port, PATHS[front], body))
    return (cpu_seconds(server.worker) - began) / events


def _body(front: str, size: str, text: str) -> Json:
    """Return the fields of a streamed request, without its model."""
    message = {"role": "user", "content": text}
    functions = () if size == SIZES[0] else FUNCTIONS
    system = INSTRUCTIONS if functions else "Be brief."
    if front == RESPONSES:
        tools = [{"type": "function", **function} for function in functions]
        body = {"input": [message], "instructions": system, "tools": tools, "stream": True}
        return {**body, "store": not functions}  # as Codex has it
    messages = [{"role": "system", "content": system}, message]
    tools = [{"type": "function", "function": function} for function in functions]
    return {"messages": messages, "tools": tools, "stream": True}


def _text(event: Json) -> str:
    """Return the text that an event of either API adds to the answer."""
    if event.get("type") == "response.output_text.delta":
        return str(event["delta"])
    return "".join(choice["delta"].get("content") or "" for choice in event.get("choices", ()))
