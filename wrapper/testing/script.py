"""Read the script that the last user message gives the scripted model.

The message has directives in double brackets, in any order, among any other text:

    [[say TEXT]]          answer exactly TEXT
    [[deltas N]]          answer "w1 w2 … wN", a delta each
    [[echo]]              answer the received body as JSON
    [[result]]            answer the result of the last tool call
    [[recall]]            answer every WORD of "remember: WORD" in the conversation
    [[think TEXT]]        think first, if thinking is on
    [[redact TEXT]]       … and then think this, encrypted
    [[json {…}]]          answer exactly this object: as text, or as a forced tool's arguments
    [[tool NAME {…}]]     call a tool; each further tool in a round of its own
    [[together]]          … but all of them in one round
    [[later]]             … but answer with text first, and call when asked again
    [[again TEXT]]        answer this when asked again
    [[first TEXT]]        … and say this before
    [[stop REASON]]       end with this stop_reason
    [[usage {…}]]         report these numbers
    [[wait S]]            wait S seconds before the first byte
    [[pause S]]           … between deltas
    [[stall S]]           … after the first delta
    [[error STATUS WHY]]  refuse with this HTTP status
    [[after S]]           … with Retry-After: S
    [[fail N]]            … but only the first N times
    [[burst N]]           … but only the first N different requests, each once
    [[of FAMILY]]         refuse, or wait, only for models with this in their names
    [[break STATUS]]      send an error event in mid-stream
    [[whole]]             … but only after a complete block of the answer
    [[cut]]               drop the connection in mid-stream
    [[drop]]              … before the first byte
    [[void]]              send a stream without any event
    [[garbage KIND]]      send garbage instead of a stream; see garbage.py

`Upstream.release()` ends waits, pauses and stalls early.

The answer to a message without directives repeats it. If the message has a word of an offered
function's name ("… the temperature in Oslo" for get_temperature), the model first calls that
function with the last name in the message, and answers its result. If the request demands an
object, the model answers an object.

The model obeys `tool_choice`. A forced call is the one of the directives; without one it calls the
forced tool (the first of several) with the object of [[json]], or else with the least that its
schema requires. With `none` it calls nothing. NAME may omit its prefix: `mcp__server__NAME`.
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
    """The directives of one request. `text` is the answer; times are in seconds."""

    text: str
    deltas: tuple[str, ...]
    tool: Call | None = None
    others: tuple[Call, ...] = ()
    first: str = ""
    thinking: str = ""
    redacted: str = ""
    wait: float = 0.0
    stall: float = 0.0
    pause: float = 0.0
    stop_reason: str | None = None
    error: int | None = None
    reason: str = ""
    after: int | None = None
    failures: int | None = None
    burst: int | None = None
    family: str = ""
    break_status: int | None = None
    whole: bool = False
    cut: bool = False
    drop: bool = False
    void: bool = False
    garbage: str = ""
    usage: dict[str, Any] = field(default_factory=dict)


def read_script(body: Body) -> Script:
    """Return the script of *body*, a request of the Messages API."""
    messages = body.get("messages", [])
    at = _last_prompt(messages)
    prompt = _texts(messages[at]) if at >= 0 else []
    asked_again = _asks_again(messages)
    directives = _for_attempt([pair for text in prompt for pair in _directives(text)], asked_again)
    values = dict(directives)
    tools = [value for name, value in directives if name == "tool"]
    rounds = max(0, sum(m["role"] == "assistant" for m in messages[at + 1 :]) - asked_again)
    plain = prompt[-1] if prompt and not values else ""
    called = rounds and likely_call(plain, 0, body)
    text = _last_result(body) if called else _answer(values, prompt, body)
    status, _, reason = values.get("error", "").partition(" ")
    return Script(
        text=text,
        deltas=_deltas(values, text),
        tool=next_call(tools, values.get("json"), rounds, body, plain),
        others=further_calls(tools[rounds + 1 :], body) if "together" in values else (),
        first=values.get("first", ""),
        thinking=values.get("think", ""),
        redacted=values.get("redact", ""),
        wait=float(values.get("wait", 0)),
        stall=float(values.get("stall", 0)),
        pause=float(values.get("pause", 0)),
        stop_reason=values.get("stop"),
        error=int(status) if status else None,
        reason=reason,
        after=_number(values, "after"),
        failures=_number(values, "fail"),
        burst=_number(values, "burst"),
        family=values.get("of", ""),
        break_status=_number(values, "break"),
        whole="whole" in values,
        cut="cut" in values,
        drop="drop" in values,
        void="void" in values,
        garbage=values.get("garbage", ""),
        usage=json.loads(values.get("usage", "{}")),
    )


def _number(values: dict[str, str], name: str) -> int | None:
    return int(values[name]) if values.get(name) else None


def _last_prompt(messages: list[Body]) -> int:
    """Return the index of the last message with text of the user."""
    for at in range(len(messages) - 1, -1, -1):
        if messages[at]["role"] == "user" and _texts(messages[at]):
            return at
    return -1


def _asks_again(messages: list[Body]) -> bool:
    """Return whether the user's last message asks to replace the previous answer."""
    content = next((m["content"] for m in reversed(messages) if m["role"] == "user"), "")
    texts = [] if isinstance(content, str) else [block.get("text", "") for block in content]
    return any("that answer" in text.lower() for text in texts if text.startswith(REMINDER))


def _for_attempt(directives: list[tuple[str, str]], asked_again: bool) -> list[tuple[str, str]]:
    """Return the directives for the first answer, or for the one that replaces it."""
    if asked_again:
        again = [value for name, value in directives if name == "again"]
        return [
            *directives,
            *(("say", value) for value in again),
            *(("json", value) for value in again),
        ]
    later = any(name == "later" for name, _ in directives)
    return [pair for pair in directives if not (later and pair[0] == "tool")]


def _texts(message: Body) -> list[str]:
    content = message["content"]
    if isinstance(content, str):
        return [content]
    texts = [block["text"] for block in content if block["type"] == "text"]
    return [t for t in texts if not t.lstrip().startswith(REMINDER)]


def _directives(text: str) -> list[tuple[str, str]]:
    directives = []
    for match in _OPENING.finditer(text):
        argument = _argument(text, match.end())
        if argument is not None:
            directives.append((match[1], argument))
    return directives


def _argument(text: str, start: int) -> str | None:
    """Return the text before the closing brackets; a JSON object in it may have brackets."""
    close = text.find("]]", start)
    brace = text.find("{", start)
    if 0 <= brace < close:
        try:
            end = brace + json.JSONDecoder().raw_decode(text[brace:])[1]
        except ValueError:
            end = close
        close = text.find("]]", end)
    return text[start:close].strip() if close >= 0 else None


def _answer(values: dict[str, str], prompt: list[str], body: Body) -> str:
    if "say" in values:
        return values["say"]
    if "json" in values:
        return values["json"]
    if "echo" in values:
        return json.dumps(body, ensure_ascii=False)
    if "result" in values:
        return _last_result(body)
    if "recall" in values:
        return " ".join(_remembered(body)) or "nothing"
    if "deltas" in values:
        return " ".join(f"w{i}" for i in range(1, int(values["deltas"]) + 1))
    if values:
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
    """Return the words to remember in texts and results, in order, with repetitions."""
    texts = [text for message in body["messages"] for text in _all_texts(message["content"])]
    return [word for text in texts for word in _REMEMBER.findall(text)]


def _all_texts(content: str | list[Body]) -> list[str]:
    """Return the texts of a message or of a result."""
    if isinstance(content, str):
        return [content]
    texts = []
    for block in content:
        if block["type"] == "text":
            texts.append(block["text"])
        elif block["type"] == "tool_result":
            texts += _all_texts(block.get("content") or [])
    return texts


def _deltas(values: dict[str, str], text: str) -> tuple[str, ...]:
    if "echo" in values:
        return (text,)
    return tuple(re.findall(r"\s*\S+\s*$|\s*\S+", text))
