"""The traffic: requests of every kind, well-behaved and not, each with what it has to come to."""

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
# A costly image may be read in the end; the rest is refused, has to come again, or runs into the
# short MAX_TIMEOUT of the soak.
ENDS_OF_COSTLY = (200, 400, 413, 429, 504)
WORD = {
    "type": "object",
    "properties": {"word": {"type": "string"}},
    "required": ["word"],
    "additionalProperties": False,
}


class Wrong(Exception):
    """Raised where an answer is not the one that was asked for; the message has both."""


@dataclass
class Said:
    """What came back to one request."""

    status: int
    text: str = ""
    calls: list[Json] = field(default_factory=list)
    error: str = ""


class Asker:
    """Sends requests to *server* with the key `key`; *chance* makes each a little different."""

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
        """Return status, headers and body of a request; *headers* may replace the key's."""
        sent = {**keys.authorization(self.key), **(headers or {})}
        return self.server.call(method, path, body, sent)

    def head(self) -> str:
        """Return the lines before a request's body, for a bare socket."""
        return head(**keys.authorization(self.key))

    def request(self, text: str, **more: Any) -> bytes:
        """Return the bytes of a request for a completion, for a bare socket."""
        return request(text, headers=keys.authorization(self.key), **more)

    def ask(self, text: str, **more: Any) -> Said:
        """Return what is said to *text*, streamed or not, as chance has it."""
        stream = self.chance.random() < 0.5
        body = {"model": MODEL, "messages": [{"role": "user", "content": text}], "stream": stream}
        body |= {"claude": {"profile": self.profile}, **more}
        status, headers, data = self.call("POST", "/v1/chat/completions", body)
        if "event-stream" in headers["content-type"]:
            return _streamed(status, data.decode())
        return _whole(status, json.loads(data))

    def expect(self, wanted: str, text: str, **more: Any) -> None:
        """Ask *text* and raise Wrong where the answer is another than *wanted*."""
        said = self.ask(text, **more)
        if (said.status, said.text, said.error) != (200, wanted, ""):
            raise Wrong(f"{text!r:.80}: {said!r:.300} in place of {wanted!r:.80}")


# A kind of request. What it returns, if anything, is counted in the report.
Kind = Callable[[Asker], str | None]


def _streamed(status: int, data: str) -> Said:
    """Return a stream as a whole; one that has neither [DONE] nor an error was cut."""
    lines = [line[6:] for line in data.split("\n\n") if line.startswith("data: ")]
    events = [json.loads(line) for line in lines if line != "[DONE]"]
    if error := events[-1].get("error") if events else None:
        return Said(status, error=error["code"] or error["type"])
    if not lines or lines[-1] != "[DONE]":
        raise ConnectionError(f"a stream without an end: {data[-100:]!r}")
    deltas = [choice["delta"] for event in events for choice in event["choices"]]
    pieces = [piece for delta in deltas for piece in delta.get("tool_calls", ())]
    said = Said(status, "".join(delta.get("content") or "" for delta in deltas))
    for piece in pieces:
        if piece.get("id"):
            said.calls.append({"name": piece["function"]["name"], "arguments": ""})
        said.calls[piece["index"]]["arguments"] += piece["function"]["arguments"]
    return said


def _whole(status: int, body: Json) -> Said:
    if error := body.get("error"):
        return Said(status, error=error["code"] or error["type"])
    message = body["choices"][0]["message"]
    calls = [call["function"] for call in message.get("tool_calls") or ()]
    return Said(status, message["content"] or "", calls)


def say(asker: Asker) -> None:
    word = asker.word()
    asker.expect(word, f"[[say {word}]]")


def stream_slowly(asker: Asker) -> None:
    count = asker.chance.randint(2, 60)
    wanted = " ".join(f"w{number}" for number in range(1, count + 1))
    asker.expect(wanted, f"[[deltas {count}]] [[pause 0.03]]")


def use_a_tool(asker: Asker) -> None:
    asker.profile = "agent"
    word = asker.word()
    command = json.dumps({"command": f"echo {word}"})
    asker.expect(word, f"[[result]] [[tool Bash {command}]]")


def call_a_function(asker: Asker) -> None:
    word = asker.word()
    city = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    function = {"name": "weather", "description": "the weather", "parameters": city}
    asked = f"[[tool weather {json.dumps({'city': word})}]]"
    said = asker.ask(asked, tools=[{"type": "function", "function": function}])
    found = [(call["name"], json.loads(call["arguments"])) for call in said.calls]
    if found != [("weather", {"city": word})]:
        raise Wrong(f"{said!r:.300} in place of a call with {word}")


def answer_by_a_schema(asker: Asker) -> None:
    wanted = {"word": asker.word()}
    shape = {"type": "json_schema", "json_schema": {"name": "word", "schema": WORD}}
    directive = "tool StructuredOutput" if asker.profile == "agent" else "json"
    said = asker.ask(f"[[{directive} {json.dumps(wanted)}]]", response_format=shape)
    if said.error or json.loads(said.text) != wanted:
        raise Wrong(f"{said!r:.300} in place of {wanted}")


def go_on_in_a_session(asker: Asker) -> None:
    session = f"soak-{uuid.uuid4().hex}"
    words = [asker.word() for _ in range(asker.chance.randint(1, 3))]
    try:
        for word in words:
            asker.expect("ok", f"remember: {word} [[say ok]]", session_id=session)
        asker.expect(" ".join(words), "[[recall]]", session_id=session)
    finally:
        asker.call("DELETE", f"/v1/sessions/{session}")


def _refusal(text: str, *wanted: str, **more: Any) -> Kind:
    def refusal(asker: Asker) -> None:
        said = asker.ask(text, **more)
        if said.error not in wanted:
            raise Wrong(f"{text!r:.80}: {said!r:.300} in place of {wanted}")

    return refusal


def leave_in_mid_stream(asker: Asker) -> None:
    with Client(asker.server) as client:
        client.send(
            asker.request("[[deltas 90]] [[pause 0.1]]", stream=True, profile=asker.profile)
        )
        if not client.wait():
            raise TimeoutError("nothing came")


def leave_at_once(asker: Asker) -> None:
    with Client(asker.server) as client:
        client.send(asker.request("[[deltas 9]]", profile=asker.profile))


def leave_without_a_farewell(asker: Asker) -> None:
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
        raise Wrong(f"{status} {data!r:.200} in place of a 400")


def send_too_much(asker: Asker) -> None:
    path = asker.chance.choice(("/v1/chat/completions", "/v1/nothing"))
    status, _, data = asker.call("POST", path, bytes(TOO_MUCH))
    if status not in (413, 404):
        raise Wrong(f"{status} {data!r:.200} in place of a 413 or a 404")


def send_malformed_chunks(asker: Asker) -> None:
    with Client(asker.server) as client:
        client.send(f"{asker.head()}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\nzz\r\n".encode())
        said = client.read_until(b"malformed_request")
    if not said.startswith(b"HTTP/1.1 400 "):
        raise Wrong(f"{said!r:.200} in place of a 400")


def send_a_bomb(asker: Asker) -> None:
    headers = {"Content-Encoding": "gzip"}
    status, _, data = asker.call("POST", "/v1/chat/completions", _bomb(), headers)
    if status != 413:
        raise Wrong(f"{status} {data!r:.200} in place of a 413")


@lru_cache
def _bomb() -> bytes:
    return gzip.compress(bytes(TOO_MUCH))


def send_what_is_costly(asker: Asker) -> None:
    kinds = itertools.islice(bodies(_costly_image()), 4)
    body = asker.chance.choice(list(kinds))
    status, _, data = asker.call("POST", "/v1/chat/completions", body)
    if status not in ENDS_OF_COSTLY:
        raise Wrong(f"{status} {data!r:.200} in place of one of {ENDS_OF_COSTLY}")


@lru_cache
def _costly_image() -> str:
    return costly_image()


# Each kind with how often it comes among the others.
KINDS: dict[Kind, int] = {
    say: 8,
    stream_slowly: 6,
    use_a_tool: 4,
    call_a_function: 4,
    answer_by_a_schema: 3,
    go_on_in_a_session: 5,
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
    leave_without_a_farewell: 2,
    send_slowly: 1,
    send_nonsense: 1,
    send_what_is_costly: 1,
    send_too_much: 1,
    send_malformed_chunks: 1,
    send_a_bomb: 1,
}
LEFT = (OSError, http.client.HTTPException, socket.timeout)
