"""A faulty `claude`: it starts as the real one does, and misbehaves in turns as directives say.

Directives stand in double brackets in the user's text. Without any it answers "ok".

    [[still]]       write nothing at all
    [[begin]]       begin to answer, then write nothing more
    [[half]]        ... then write half a line
    [[leave]]       ... then write half a line, and exit
    [[garbage]]     write random bytes, lines that are no frames and unknown frames, then answer
    [[line N]]      write a line of N MiB, then answer
    [[flood]]       write meaningless frames without end
    [[shout]]       ... on stderr
    [[babble N]]    write words of an answer, N times ten thousand, or without end
    [[deaf]]        begin to answer, write nothing more, and ignore SIGTERM
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

USAGE = {"input_tokens": 1, "output_tokens": 1}
VERSION = "2.1.330"


def say(frame: dict[str, Any]) -> None:
    shout(json.dumps(frame).encode() + b"\n")


def shout(data: bytes, descriptor: int = 1) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def event(**content: Any) -> None:
    say({"type": "stream_event", "uuid": "u", "session_id": "s", "event": content})


def word(text: str) -> None:
    delta = {"type": "text_delta", "text": text}
    event(type="content_block_delta", index=0, delta=delta)


def begin() -> None:
    say({"type": "system", "subtype": "init", "session_id": "s", "tools": []})
    message = {"id": "m", "model": "claude-x", "usage": USAGE, "content": [], "role": "assistant"}
    event(type="message_start", message=message)
    event(type="content_block_start", index=0, content_block={"type": "text", "text": ""})
    word("ok")


def end() -> None:
    event(type="content_block_stop", index=0)
    event(type="message_delta", delta={"stop_reason": "end_turn"}, usage=USAGE)
    event(type="message_stop")
    usage = {"claude-x": {"inputTokens": 1, "outputTokens": 1, "costUSD": 0.001}}
    numbers = {"duration_ms": 1, "duration_api_ms": 1, "num_turns": 1, "total_cost_usd": 0.001}
    details = {"result": "ok", "usage": USAGE, "modelUsage": usage, "stop_reason": "end_turn"}
    how = {"subtype": "success", "is_error": False, "session_id": "s"}
    say({"type": "result", **how, **numbers, **details})


def run_on(directive: str, number: int) -> None:
    """Write without end, or *number* times, as the directive says."""
    while directive == "flood":
        shout(b'{"type": "nobody\'s", "of": 1}\n' * 2000)
    while directive == "shout":
        shout(b"help! " * 10_000, 2)
    if directive == "babble":
        for _ in range(number) if number else itertools.count():
            word("word " * 10_000)


def answer(directive: str, number: int) -> None:
    """Follow the directive, after writing a file that says that there was a user message."""
    Path(os.environ["TMPDIR"], "asked").write_text(str(os.getpid()))
    if directive in ("begin", "half", "leave", "babble", "deaf"):
        begin()
    if directive in ("half", "leave"):
        shout(b'{"type": "stream_event", "ev')
    run_on(directive, number)
    if directive == "leave":
        sys.exit(1)
    if directive in ("still", "begin", "half", "deaf"):
        return
    if directive == "garbage":
        shout(random.Random(1).randbytes(300_000) + b"\n")
        shout(b'\n\n{}\n[]\nnull\n"type"\n{"type": 7}\n{"type": {}}\n' + b"[" * 100_000 + b"\n")
    if directive == "line":
        shout(b'{"type": "nobody\'s", "of": "' + b"x" * (number * 1024**2) + b'"}\n')
    if directive != "babble":
        begin()
    end()


def settings() -> Any:
    """Return the settings on the command line."""
    if "--settings" not in sys.argv:
        return {}
    return json.loads(sys.argv[sys.argv.index("--settings") + 1])


def main() -> None:
    if "--version" in sys.argv:
        print(VERSION, "(Claude Code)")
        return
    directive, number = "", 0
    for line in sys.stdin.buffer:
        if directives := re.findall(rb"\[\[([a-z]+) ?(\d*)\]\]", line):
            directive, number = directives[-1][0].decode(), int(directives[-1][1] or 0)
        if directive == "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        frame = json.loads(line)
        if frame["type"] == "control_request":
            if frame["request"]["subtype"] == "interrupt":
                continue
            said = {"version": VERSION, "status": "ok", "models": [], "applied": {}}
            said["effective"] = settings()
            about = {"subtype": "success", "request_id": frame["request_id"], "response": said}
            say({"type": "control_response", "response": about})
        elif frame["type"] == "user":
            answer(directive, number)
    if directive == "deaf":
        time.sleep(1000)


if __name__ == "__main__":
    main()
