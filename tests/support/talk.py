"""A client's session, beside what a client without one would have to send."""

from __future__ import annotations

import json
import os
import re
import signal
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import openai

from tests.support.server import MODEL, Server, alive, eventually
from wrapper.testing.upstream import Upstream

Json = dict[str, Any]

SYSTEM = ("system", "developer")


@dataclass
class Answer:
    """What came back; `message` is the answer as a client sends it again."""

    message: Json
    reason: str
    usage: Json
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return str(self.message["content"] or "")

    @property
    def calls(self) -> list[Json]:
        return list(self.message.get("tool_calls", []))


class Talk:
    """A session at *server*, under the id *name*. It must be closed, which deletes it.

    Its turns are sent to *url*, which leads to the server, up to *retries* times more.
    """

    def __init__(
        self,
        server: Server,
        profile: str = "plain",
        *,
        key: str = "unused",
        name: str = "",
        retries: int = 0,
        url: str = "",
    ):
        self.id = name or f"talk-{uuid.uuid4().hex}"
        self.history: list[Json] = []
        self.process = 0  # in which the last turn has run
        self._server = server
        self._profile = profile
        self._headers = {"Authorization": f"Bearer {key}"}
        self._client = openai.OpenAI(base_url=url or server.url, api_key=key, max_retries=retries)

    def say(self, *said: str | Json, **more: Any) -> Answer:
        """Bring texts of the user's, or messages, into the session; they are all it gets."""
        messages = _messages(said)
        answer = self._ask(messages, session=self.id, **more)
        self.process = last_process(self._server)
        if "idempotent-replayed" not in answer.headers:
            self.history = [*self._before(messages), *messages, answer.message]
        return answer

    def tell_all(self, *said: str | Json, **more: Any) -> Answer:
        """Ask the same without a session, with all that was said before."""
        messages = _messages(said)
        return self._ask([*self._before(messages), *messages], session=None, **more)

    def fail(self, *said: str | Json, **more: Any) -> Any:
        """Return the error that a turn ends with."""
        try:
            answer = self._ask(_messages(said), session=self.id, **more)
        except openai.APIError as error:
            return error
        raise AssertionError(answer)

    def leave(self, *said: str | Json, **more: Any) -> None:
        """Begin a turn, and leave once the model has begun to answer it."""
        with self._request(_messages(said), session=self.id, stream=True, **more).parse() as stream:
            assert any(choice.delta.content for chunk in stream for choice in chunk.choices)

    def read(self) -> tuple[int, Json]:
        """Return what the gateway tells of the session."""
        return self.call("GET", f"/v1/sessions/{self.id}")

    @property
    def messages(self) -> list[Json]:
        status, body = self.read()
        assert status == 200, body
        return list(body["messages"])

    def delete(self) -> int:
        return self.call("DELETE", f"/v1/sessions/{self.id}")[0]

    def stats(self) -> Json:
        return self.call("GET", "/v1/sessions/stats")[1]

    def call(self, method: str, path: str) -> tuple[int, Json]:
        status, _, data = self._server.call(method, path, headers=self._headers)
        return status, json.loads(data)

    def kill(self) -> None:
        """Kill the process in which the last turn has run, if it has stayed."""
        if self.process in self._server.claudes():
            os.kill(self.process, signal.SIGKILL)
            assert eventually(lambda: not alive(self.process))

    def close(self) -> None:
        self._client.close()
        with suppress(ConnectionRefusedError):  # of a gateway that was stopped
            self.delete()

    def _before(self, messages: list[Json]) -> list[Json]:
        """Return what was said; new system messages take the place of those there were."""
        renewed = any(message["role"] in SYSTEM for message in messages)
        return [one for one in self.history if not (renewed and one["role"] in SYSTEM)]

    def _ask(
        self, messages: list[Json], *, session: str | None, stream: bool = False, **more: Any
    ) -> Answer:
        raw = self._request(messages, session=session, stream=stream, **more)
        answer = _gathered(raw.parse()) if stream else _whole(raw.parse().model_dump())
        answer.headers = dict(raw.headers.items())
        return answer

    def _request(
        self,
        messages: list[Json],
        *,
        session: str | None,
        stream: bool,
        headers: dict[str, str] | None = None,
        claude: Json | None = None,
        **more: Any,
    ) -> Any:
        extra: Json = {"claude": {"profile": self._profile, **(claude or {})}}
        if session is not None:
            extra["session_id"] = session
        if stream:
            more |= {"stream": True, "stream_options": {"include_usage": True}}
        return self._client.chat.completions.with_raw_response.create(
            messages=messages,  # type: ignore[arg-type]
            extra_body=extra,
            extra_headers=headers,
            **{"model": MODEL, **more},
        )


def say_both_ways(talk: Talk, upstream: Upstream, *said: str | Json, **more: Any) -> Answer:
    """Say something in the session and, with all that was said before, without one.

    What the model is told, what is answered and what it takes must be the same.
    """
    upstream.clear()
    expected = talk.tell_all(*said, **more)
    answer = talk.say(*said, **more)
    without, within = (request.body for request in upstream.requests)
    assert heard(within) == heard(without)
    assert reminders(within) == reminders(without)
    assert (answer.message, answer.reason) == (expected.message, expected.reason)
    assert answer.usage == expected.usage
    return answer


def note(word: str) -> str:
    """Return a text that [[recall]] finds once, as its answer does not repeat it."""
    return f"remember: {word} [[say ok]]"


def last_process(server: Server) -> int:
    """Return the process that was last spoken to, 0 where the server's LOG_LEVEL is not debug."""
    return int(("0", *re.findall(r" to (\d+)", server.log()))[-1])


def heard(body: Json) -> Json:
    """Return what the model is told, less what may differ from request to request.

    That is the mark of who asks, the marks for the cache, and an agent's reminders: Claude Code
    puts them before the first message that it is asked itself, which in a process that has gone on
    is another one than in a process that was told the history. See `reminders`.
    """
    told = {key: value for key, value in body.items() if key != "metadata"}
    spoken = [message for message in body["messages"] if message["role"] != "system"]
    told["messages"] = [{"role": m["role"], "content": _blocks(m["content"])} for m in spoken]
    told["system"] = [
        one for one in _blocks(body.get("system", [])) if "billing-header" not in one["text"]
    ]
    bare: Json = _without_marks(told)
    return bare


def reminders(body: Json) -> list[str]:
    """Return what Claude Code itself tells the model, wherever, without the names of paths."""
    contents = [_as_blocks(message["content"]) for message in body["messages"]]
    blocks = [block for content in contents for block in content]
    held = [inner for block in blocks for inner in _as_blocks(block.get("content", []))]
    told = [block["text"] for block in (*blocks, *held) if _reminds(block)]
    return sorted(re.sub(r" /\S+", "", text).strip() for text in told)


def _blocks(content: str | list[Json]) -> list[Json]:
    return [_result(block) for block in _as_blocks(content) if not _reminds(block)]


def _result(block: Json) -> Json:
    """Return a result without the reminders in it, and without the line's end before them."""
    if block["type"] != "tool_result":
        return block
    held = [
        {**one, "text": one["text"].rstrip()} if "text" in one else one
        for one in _blocks(block.get("content", []))
    ]
    return {**block, "content": held}


def _as_blocks(content: str | list[Json]) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _reminds(block: Json) -> bool:
    return bool(block.get("text", "").startswith("<system-reminder>"))


def _without_marks(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_marks(v) for k, v in value.items() if k != "cache_control"}
    return [_without_marks(one) for one in value] if isinstance(value, list) else value


def _messages(said: tuple[str | Json, ...]) -> list[Json]:
    return [{"role": "user", "content": one} if isinstance(one, str) else one for one in said]


def _whole(body: Json) -> Answer:
    choice = body["choices"][0]
    told = choice["message"]
    message = {"role": "assistant", "content": told["content"]}
    for kind in ("tool_calls", "function_call"):
        if told.get(kind):
            message[kind] = told[kind]
    return Answer(message, choice["finish_reason"], body["usage"])


def _gathered(chunks: Any) -> Answer:
    """Return a stream as the whole answer that it adds up to."""
    texts: list[str] = []
    calls: list[Json] = []
    usage: Json = {}
    reason = ""
    for chunk in chunks:
        usage = chunk.usage.model_dump() if chunk.usage else usage
        for choice in chunk.choices:
            texts.append(choice.delta.content or "")
            reason = choice.finish_reason or reason
            for piece in choice.delta.tool_calls or ():
                if piece.id:
                    function = {"name": piece.function.name, "arguments": ""}
                    calls.append({"id": piece.id, "type": "function", "function": function})
                calls[piece.index]["function"]["arguments"] += piece.function.arguments
    message: Json = {"role": "assistant", "content": "".join(texts) or None}
    return Answer(message | ({"tool_calls": calls} if calls else {}), reason, usage)
