"""A script: what the last user message asks the pretended model to do.

The message holds directives in double brackets, in any order, among any other text:

    [[say TEXT]]          answer exactly TEXT
    [[deltas N]]          answer "w1 w2 … wN", a delta each
    [[echo]]              answer the received body as JSON
    [[result]]            answer what the last of the tools called has returned
    [[recall]]            answer every WORD that stands as "remember: WORD" in the conversation
    [[think TEXT]]        think first, where thinking is on
    [[json {…}]]          answer exactly this object: as text, or as a forced tool's arguments
    [[tool NAME {…}]]     call a tool; each further one in a round of its own
    [[together]]          … but all of them in one round
    [[later]]             … but answer with text first, and call when asked once more
    [[again TEXT]]        answer this when asked once more
    [[first TEXT]]        … and say this before
    [[stop REASON]]       end with this stop_reason
    [[usage {…}]]         report these numbers
    [[wait S]]            let S seconds pass before the first byte
    [[pause S]]           … between deltas
    [[stall S]]           … after the first delta
    [[error STATUS WHY]]  refuse with this HTTP status
    [[after S]]           … and say that it may be tried again in S seconds
    [[fail N]]            … but only the first N times
    [[burst N]]           … but only the first N requests of all, each once
    [[break STATUS]]      send an error event in mid-stream
    [[whole]]             … but only after a whole block of the answer
    [[cut]]               drop the connection in mid-stream
    [[drop]]              … before the first byte
    [[void]]              send a stream without any event
    [[garbage KIND]]      send what is no such stream; see garbage.py

A message without any of them is answered with a sentence that repeats it. Where it has a word of
an offered function's name ("… the temperature in Oslo" of get_temperature), that is called first,
with the last name in it, and its result is the answer. Where an object is wanted, that is given.

`tool_choice` is obeyed. Where it forces a call, that is the one of the directives, else the forced
tool (of several, the first) with the object of [[json]], else with the least that its schema asks
for. With `none` nothing is called. NAME may leave out what stands before it: `mcp__server__NAME`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from wrapper.testing.calls import Call, further_calls, likely_call, next_call

Body = dict[str, Any]
Event = dict[str, Any]

REMINDER = "<system-reminder>"
_OPENING = re.compile(r"\[\[([a-z]+)")
_REMEMBER = re.compile(r"remember: ([\w-]+)")


@dataclass(frozen=True)
class Script:
    """The directives of one request. `text` is the answer; times are seconds."""

    text: str
    deltas: tuple[str, ...]
    tool: Call | None = None
    others: tuple[Call, ...] = ()
    first: str = ""
    thinking: str = ""
    wait: float = 0.0
    stall: float = 0.0
    pause: float = 0.0
    stop_reason: str | None = None
    error: int | None = None
    reason: str = ""
    after: int | None = None
    failures: int | None = None
    burst: int | None = None
    break_status: int | None = None
    whole: bool = False
    cut: bool = False
    drop: bool = False
    void: bool = False
    garbage: str = ""
    usage: dict[str, Any] = field(default_factory=dict)


def read_script(body: Body) -> Script:
    """Return what *body*, a Messages API request, asks for."""
    messages = body.get("messages", [])
    at = _last_prompt(messages)
    prompt = _texts(messages[at]) if at >= 0 else []
    asked_again = _asks_again(messages)
    found = _heed([pair for text in prompt for pair in _directives(text)], asked_again)
    said = dict(found)
    tools = [value for name, value in found if name == "tool"]
    rounds = sum(m["role"] == "assistant" for m in messages[at + 1 :])
    rounds = max(0, rounds - asked_again)
    plain = prompt[-1] if prompt and not said else ""
    text = _answer(said, prompt, body)
    if rounds and likely_call(plain, 0, body):
        text = _last_result(body)
    status, _, reason = said.get("error", "").partition(" ")
    return Script(
        text=text,
        deltas=_deltas(said, text),
        tool=next_call(tools, said.get("json"), rounds, body, plain),
        others=further_calls(tools[rounds + 1 :], body) if "together" in said else (),
        first=said.get("first", ""),
        thinking=said.get("think", ""),
        wait=float(said.get("wait", 0)),
        stall=float(said.get("stall", 0)),
        pause=float(said.get("pause", 0)),
        stop_reason=said.get("stop"),
        error=int(status) if status else None,
        reason=reason,
        after=_number(said, "after"),
        failures=_number(said, "fail"),
        burst=_number(said, "burst"),
        break_status=_number(said, "break"),
        whole="whole" in said,
        cut="cut" in said,
        drop="drop" in said,
        void="void" in said,
        garbage=said.get("garbage", ""),
        usage=json.loads(said.get("usage", "{}")),
    )


def _number(said: dict[str, str], name: str) -> int | None:
    return int(said[name]) if said.get(name) else None


def _last_prompt(messages: list[Body]) -> int:
    """Return the index of the last user message that holds text of the user's own."""
    for at in range(len(messages) - 1, -1, -1):
        if messages[at]["role"] == "user" and _texts(messages[at]):
            return at
    return -1


def _asks_again(messages: list[Body]) -> bool:
    """Say whether the last message asks for another answer than the one before it."""
    content = messages[-1]["content"] if messages else ""
    texts = [] if isinstance(content, str) else [block.get("text", "") for block in content]
    return any("that answer" in text.lower() for text in texts if text.startswith(REMINDER))


def _heed(found: list[tuple[str, str]], asked_again: bool) -> list[tuple[str, str]]:
    """Return the directives as they stand for the first answer, or for the one after it."""
    if asked_again:
        again = [value for name, value in found if name == "again"]
        return [*found, *(("say", value) for value in again), *(("json", value) for value in again)]
    later = any(name == "later" for name, _ in found)
    return [pair for pair in found if not (later and pair[0] == "tool")]


def _texts(message: Body) -> list[str]:
    content = message["content"]
    if isinstance(content, str):
        return [content]
    texts = [block["text"] for block in content if block["type"] == "text"]
    return [t for t in texts if not t.lstrip().startswith(REMINDER)]


def _directives(text: str) -> list[tuple[str, str]]:
    found = []
    for match in _OPENING.finditer(text):
        argument = _argument(text, match.end())
        if argument is not None:
            found.append((match[1], argument))
    return found


def _argument(text: str, start: int) -> str | None:
    """Return what stands before the closing brackets; a JSON object may hold brackets."""
    close = text.find("]]", start)
    brace = text.find("{", start)
    if 0 <= brace < close:
        try:
            end = brace + json.JSONDecoder().raw_decode(text[brace:])[1]
        except ValueError:
            end = close
        close = text.find("]]", end)
    return text[start:close].strip() if close >= 0 else None


def _answer(said: dict[str, str], prompt: list[str], body: Body) -> str:
    if "say" in said:
        return said["say"]
    if "json" in said:
        return said["json"]
    if "echo" in said:
        return json.dumps(body, ensure_ascii=False)
    if "result" in said:
        return _last_result(body)
    if "recall" in said:
        return " ".join(_remembered(body)) or "nothing"
    if "deltas" in said:
        return " ".join(f"w{i}" for i in range(1, int(said["deltas"]) + 1))
    if said:
        return "done"
    return f"You said: {prompt[-1] if prompt else ''}"


def _last_result(body: Body) -> str:
    """Return the first text of the last tool result in the conversation."""
    contents = [m["content"] for m in body["messages"] if not isinstance(m["content"], str)]
    results = [block for content in contents for block in content if block["type"] == "tool_result"]
    content = results[-1].get("content", "") if results else ""
    text = content if isinstance(content, str) else content[0].get("text", "") if content else ""
    return text.partition("<system-reminder>")[0].strip() or "done"


def _remembered(body: Body) -> list[str]:
    """Return the words as often as they stand in texts and results, in that order."""
    texts = [text for message in body["messages"] for text in _said(message["content"])]
    return [word for text in texts for word in _REMEMBER.findall(text)]


def _said(content: str | list[Body]) -> list[str]:
    """Return the texts of a message or of a result."""
    if isinstance(content, str):
        return [content]
    texts = []
    for block in content:
        if block["type"] == "text":
            texts.append(block["text"])
        elif block["type"] == "tool_result":
            texts += _said(block.get("content") or [])
    return texts


def _deltas(said: dict[str, str], text: str) -> tuple[str, ...]:
    if "echo" in said:
        return (text,)
    return tuple(re.findall(r"\s*\S+\s*$|\s*\S+", text))
