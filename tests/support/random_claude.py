"""A `claude` with random output: it boots as the real one does, then spoils its answer by a seed.

The seed stands in the user's text as [[seed N]]. Without a seed the answer is right.
If there is a file `boot` beside it, its content is the reply to boots.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sys
from pathlib import Path
from typing import Any

Frame = dict[str, Any]

USAGE = {"input_tokens": 3, "output_tokens": 2}
MODEL_USAGE = {"m": {"inputTokens": 3, "outputTokens": 2, "costUSD": 0.001}}
RESULT = {
    "type": "result",
    "subtype": "success",
    "is_error": False,
    "num_turns": 1,
    "duration_ms": 1,
    "duration_api_ms": 1,
    "session_id": "s",
    "total_cost_usd": 0.001,
    "usage": USAGE,
    "modelUsage": MODEL_USAGE,
    "result": "Hello.",
}
BOOTED = {
    "version": "2.1.330",
    "models": [{"value": "opus", "resolvedModel": "claude-opus-4-20250514"}],
    "applied": {},
    "account": {},
    "status": "ok",
}


def event(**content: Any) -> Frame:
    return {"type": "stream_event", "uuid": "u", "session_id": "s", "event": content}


WELL = [
    {"type": "system", "subtype": "init", "tools": []},
    event(type="message_start", message={"model": "m", "usage": USAGE}),
    event(type="content_block_start", index=0, content_block={"type": "text", "text": ""}),
    event(type="content_block_delta", index=0, delta={"type": "text_delta", "text": "Hello."}),
    event(type="content_block_stop", index=0),
    event(type="message_delta", delta={"stop_reason": "end_turn"}, usage=USAGE),
    event(type="message_stop"),
    {"type": "assistant", "message": {"model": "m", "content": []}},
    RESULT,
]  # fmt: skip
WRONG = [None, True, -1, 2**70, 0.5, "", "x" * 100_000, [], {}, ["a"], {"a": None}]


def line(frame: Any) -> bytes:
    return json.dumps(frame).encode() + b"\n"


class RandomOutput:
    """The output in place of an answer."""

    def __init__(self, seed: int):
        self._chance = random.Random(seed)

    def lines(self) -> list[bytes]:
        """Return the answer with one to four random changes."""
        lines = [line(frame) for frame in WELL]
        for _ in range(self._chance.randint(1, 4)):
            self._chance.choice(self.WAYS)(self, lines)
        return lines

    def end(self) -> None:
        """Exit, die of a signal, close stdout, or wait, at random."""
        match self._chance.randrange(5):
            case 0:
                sys.exit(self._chance.choice([0, 1, 143]))
            case 1:
                os.kill(os.getpid(), signal.SIGKILL)
            case 2:
                os.close(1)
        # otherwise it waits for the next frame

    def _garbage(self, lines: list[bytes]) -> None:
        self._insert(lines, self._chance.randbytes(self._chance.choice([1, 50, 70_000])) + b"\n")

    def _binary(self, lines: list[bytes]) -> None:
        self._insert(
            lines, self._chance.choice([b"\0" * 5000, b"\xff\xfe\n", b'{"type": "\xed\xa0\x80"}\n'])
        )

    def _half(self, lines: list[bytes]) -> None:
        at = self._chance.randrange(len(lines))
        del lines[at + 1 :]
        lines[at] = lines[at][: self._chance.randrange(len(lines[at]))]

    def _deep(self, lines: list[bytes]) -> None:
        deep = self._chance.choice([b"[" * 90_000, b"[" * 900 + b"]" * 900])
        self._insert(lines, b'{"type": "user", "message": ' + deep + b"}\n")

    def _long(self, lines: list[bytes]) -> None:
        self._insert(lines, line(event(type="ping", x="x" * 3_000_000)))

    def _spoil(self, lines: list[bytes]) -> None:
        frame = json.loads(json.dumps(self._chance.choice(WELL)))
        target, key = frame, self._chance.choice(sorted(frame))
        while isinstance(target[key], dict) and target[key] and self._chance.random() < 0.8:
            target = target[key]
            key = self._chance.choice(sorted(target))
        if self._chance.random() < 0.3:
            del target[key]
        else:
            target[key] = self._chance.choice(WRONG)
        lines[self._chance.randrange(len(lines))] = line(frame)

    def _shuffle(self, lines: list[bytes]) -> None:
        self._chance.shuffle(lines)

    def _repeat(self, lines: list[bytes]) -> None:
        lines.append(self._chance.choice(lines))

    def _nothing(self, lines: list[bytes]) -> None:
        del lines[self._chance.randrange(len(lines)) :]
        lines.append(b"\n")

    def _insert(self, lines: list[bytes], said: bytes) -> None:
        lines.insert(self._chance.randrange(len(lines) + 1), said)

    WAYS = (
        *(_garbage, _binary, _half, _deep, _long, _spoil, _spoil, _spoil, _shuffle, _repeat),
        _nothing,
    )


def say(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


def confirm(frame: Frame) -> None:
    reply: Any = BOOTED
    file = Path(__file__).with_name("boot")
    if frame["request_id"] == "boot" and file.exists():
        reply = json.loads(file.read_text())
    if frame["request"]["subtype"] == "get_settings" and isinstance(reply, dict):
        started = dict(zip(sys.argv, sys.argv[1:], strict=False))
        reply = {**reply, "effective": json.loads(started.get("--settings", "{}"))}
    response = {"subtype": "success", "request_id": frame["request_id"], "response": reply}
    say(line({"type": "control_response", "response": response}))


def main() -> None:
    if "--version" in sys.argv:
        print(BOOTED["version"], "(Claude Code)")
        return
    seed = -1
    for raw in sys.stdin.buffer:
        if found := re.search(rb"\[\[seed (\d+)\]\]", raw):
            seed = int(found[1])
        frame = json.loads(raw)
        if frame["type"] == "control_request" and frame["request"]["subtype"] != "interrupt":
            confirm(frame)
        elif frame["type"] == "user" and seed < 0:
            say(b"".join(line(one) for one in WELL))
        elif frame["type"] == "user" and seed is not None:
            output = RandomOutput(seed)
            say(b"".join(output.lines()))
            output.end()


if __name__ == "__main__":
    main()
