"""The soak's ordinary traffic: well-behaved and broken requests, each with its expected outcome."""

from __future__ import annotations

import gzip
import http.client
import itertools
import json
import random
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from bench import keys
from bench.hostile import bodies, costly_image
from tests.support.server import MODEL, Server
from tests.support.socket_client import Client, head, request

Json = dict[str, Any]

PROFILES = ("plain", "agent")
SLOW_SECONDS = 2.0
TOO_MUCH = 48 * 1024**2
# A costly image may be read in the end. Other requests are refused, must be retried, or exceed the
# short MAX_TIMEOUT of the soak.
COSTLY_STATUSES = (200, 400, 413, 429, 504)
WORD = {
    "type": "object",
    "properties": {"word": {"type": "string"}},
    "required": ["word"],
    "additionalProperties": False,
}


class Wrong(Exception):
    """Raised if an answer is not the expected one; the message has both."""


@dataclass
class Reply:
    """The answer to one request."""

    status: int
    text: str = ""
    calls: list[Json] = field(default_factory=list)
    error: str = ""


class Asker:
    """Sends requests to *server* with the key `key`. *chance* makes each a little different."""

    def __init__(self, server: Server, chance: random.Random):
        self.server = server
        self.chance = chance
        self.profile = chance.choice(PROFILES)
        self.key = keys.USUAL

    def word(self) -> str:
        return f"w{self.chance.randrange(10**9)}"

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request, and return status, headers and body. *headers* may replace the key's."""
        sent = {**keys.authorization(self.key), **(headers or {})}
        return self.server.call(method, path, body, sent)

    def head(self) -> str:
        """Return the lines before a request's body, to send on a socket."""
        return head(**keys.authorization(self.key))

    def request(self, text: str, **more: Any) -> bytes:
        """Return the bytes of a request for a completion, to send on a socket."""
        return request(text, headers=keys.authorization(self.key), **more)

    def ask(self, text: str, **more: Any) -> Reply:
        """Ask *text*, streamed or not at random, and return the reply."""
        stream = self.chance.random() < 0.5
        body = {"model": MODEL, "messages": [{"role": "user", "content": text}], "stream": stream}
        body |= {"claude": {"profile": self.profile}, **more}
        status, headers, data = self.call("POST", "/v1/chat/completions", body)
        if "event-stream" in headers["content-type"]:
            return _streamed(status, data.decode())
        return _whole(status, json.loads(data))

    def expect(self, expected: str, text: str, **more: Any) -> None:
        """Ask *text*, and raise Wrong if the answer is not *expected*."""
        reply = self.ask(text, **more)
        if (reply.status, reply.text, reply.error) != (200, expected, ""):
            raise Wrong(f"{text!r:.80}: {reply!r:.300} instead of {expected!r:.80}")


# A kind of request. The report counts what it returns, if anything.
Kind = Callable[[Asker], str | None]


def _streamed(status: int, data: str) -> Reply:
    """Return a stream's reply. Raises ConnectionError if it has neither [DONE] nor an error."""
    lines = [line[6:] for line in data.split("\n\n") if line.startswith("data: ")]
    events = [json.loads(line) for line in lines if line != "[DONE]"]
    if error := events[-1].get("error") if events else None:
        return Reply(status, error=error["code"] or error["type"])
    if not lines or lines[-1] != "[DONE]":
        raise ConnectionError(f"a stream without an end: {data[-100:]!r}")
    deltas = [choice["delta"] for event in events for choice in event["choices"]]
    pieces = [piece for delta in deltas for piece in delta.get("tool_calls", ())]
    reply = Reply(status, "".join(delta.get("content") or "" for delta in deltas))
    for piece in pieces:
        if piece.get("id"):
            reply.calls.append({"name": piece["function"]["name"], "arguments": ""})
        reply.calls[piece["index"]]["arguments"] += piece["function"]["arguments"]
    return reply


def _whole(status: int, body: Json) -> Reply:
    if error := body.get("error"):
        return Reply(status, error=error["code"] or error["type"])
    message = body["choices"][0]["message"]
    calls = [call["function"] for call in message.get("tool_calls") or ()]
    return Reply(status, message["content"] or "", calls)


def say(asker: Asker) -> None:
    word = asker.word()
    asker.expect(word, f"[[say {word}]]")


def stream_slowly(asker: Asker) -> None:
    count = asker.chance.randint(2, 60)
    expected = " ".join(f"w{number}" for number in range(1, count + 1))
    asker.expect(expected, f"[[deltas {count}]] [[pause 0.03]]")


def use_a_tool(asker: Asker) -> None:
    asker.profile = "agent"
    word = asker.word()
    command = json.dumps({"command": f"echo {word}"})
    asker.expect(word, f"[[result]] [[tool Bash {command}]]")


def call_a_function(asker: Asker) -> None:
    word = asker.word()
    city = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    function = {"name": "weather", "description": "the weather", "parameters": city}
    text = f"[[tool weather {json.dumps({'city': word})}]]"
    reply = asker.ask(text, tools=[{"type": "function", "function": function}])
    calls = [(call["name"], json.loads(call["arguments"])) for call in reply.calls]
    if calls != [("weather", {"city": word})]:
        raise Wrong(f"{reply!r:.300} instead of a call with {word}")


def answer_by_a_schema(asker: Asker) -> None:
    expected = {"word": asker.word()}
    response_format = {"type": "json_schema", "json_schema": {"name": "word", "schema": WORD}}
    directive = "tool StructuredOutput" if asker.profile == "agent" else "json"
    reply = asker.ask(f"[[{directive} {json.dumps(expected)}]]", response_format=response_format)
    if reply.error or json.loads(reply.text) != expected:
        raise Wrong(f"{reply!r:.300} instead of {expected}")


def continue_a_session(asker: Asker) -> None:
    session = f"soak-{uuid.uuid4().hex}"
    words = [asker.word() for _ in range(asker.chance.randint(1, 3))]
    try:
        for word in words:
            asker.expect("ok", f"remember: {word} [[say ok]]", session_id=session)
        asker.expect(" ".join(words), "[[recall]]", session_id=session)
    finally:
        asker.call("DELETE", f"/v1/sessions/{session}")


def _refusal(text: str, *codes: str, **more: Any) -> Kind:
    def refusal(asker: Asker) -> None:
        reply = asker.ask(text, **more)
        if reply.error not in codes:
            raise Wrong(f"{text!r:.80}: {reply!r:.300} instead of {codes}")

    return refusal


def leave_in_mid_stream(asker: Asker) -> None:
    with Client(asker.server) as client:
        client.send(
            asker.request("[[deltas 90]] [[pause 0.1]]", stream=True, profile=asker.profile)
        )
        if not client.wait():
            raise TimeoutError("no answer began")


def leave_at_once(asker: Asker) -> None:
    with Client(asker.server) as client:
        client.send(asker.request("[[deltas 9]]", profile=asker.profile))


def reset_the_connection(asker: Asker) -> None:
    with Client(asker.server) as client:
        client.send(asker.request("[[deltas 90]] [[pause 0.1]]", profile=asker.profile))
        time.sleep(asker.chance.random())
        client.reset()


def send_slowly(asker: Asker) -> None:
    data = asker.request("hello")
    until = time.monotonic() + SLOW_SECONDS
    with Client(asker.server) as client:
        for at in range(len(data) - 1):
            client.send(data[at : at + 1])
            time.sleep(0.2)
            if time.monotonic() > until:
                return


def send_nonsense(asker: Asker) -> None:
    status, _, data = asker.call("POST", "/v1/chat/completions", b'{"messages": [')
    if status != 400 or "error" not in json.loads(data):
        raise Wrong(f"{status} {data!r:.200} instead of a 400")


def send_too_much(asker: Asker) -> None:
    path = asker.chance.choice(("/v1/chat/completions", "/v1/nothing"))
    status, _, data = asker.call("POST", path, bytes(TOO_MUCH))
    if status not in (413, 404):
        raise Wrong(f"{status} {data!r:.200} instead of a 413 or a 404")


def send_malformed_chunks(asker: Asker) -> None:
    with Client(asker.server) as client:
        client.send(f"{asker.head()}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\nzz\r\n".encode())
        answer = client.read_until(b"malformed_request")
    if not answer.startswith(b"HTTP/1.1 400 "):
        raise Wrong(f"{answer!r:.200} instead of a 400")


def send_a_bomb(asker: Asker) -> None:
    headers = {"Content-Encoding": "gzip"}
    status, _, data = asker.call("POST", "/v1/chat/completions", _bomb(), headers)
    if status != 413:
        raise Wrong(f"{status} {data!r:.200} instead of a 413")


@lru_cache
def _bomb() -> bytes:
    return gzip.compress(bytes(TOO_MUCH))


def send_costly_input(asker: Asker) -> None:
    kinds = itertools.islice(bodies(_costly_image()), 4)
    body = asker.chance.choice(list(kinds))
    status, _, data = asker.call("POST", "/v1/chat/completions", body)
    if status not in COSTLY_STATUSES:
        raise Wrong(f"{status} {data!r:.200} instead of one of {COSTLY_STATUSES}")


@lru_cache
def _costly_image() -> str:
    return costly_image()


# Each kind with its weight among the others.
KINDS: dict[Kind, int] = {
    say: 8,
    stream_slowly: 6,
    use_a_tool: 4,
    call_a_function: 4,
    answer_by_a_schema: 3,
    continue_a_session: 5,
    _refusal("[[error 529]]", "overloaded"): 2,
    _refusal("[[error 429]]", "rate_limit_exceeded"): 2,
    _refusal("[[error 500]]", "server_error"): 1,
    _refusal("[[deltas 5]] [[stall 0.3]] [[cut]]", "server_error", "bad_gateway"): 2,
    _refusal("[[deltas 5]] [[stall 0.3]] [[break 529]]", "overloaded", "server_error"): 2,
    _refusal("[[void]]", "server_error", "bad_gateway"): 1,
    _refusal("[[wait 60]]", "timeout"): 1,
    _refusal("hello", "model_not_found", model="claude-nonsense-9"): 1,
    leave_in_mid_stream: 3,
    leave_at_once: 3,
    reset_the_connection: 2,
    send_slowly: 1,
    send_nonsense: 1,
    send_costly_input: 1,
    send_too_much: 1,
    send_malformed_chunks: 1,
    send_a_bomb: 1,
}
LEFT = (OSError, http.client.HTTPException, socket.timeout)
