"""A client of one session, which can also ask the same without a session."""

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
    """An answer. `message` is how a client sends it back in the next request."""

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


class SessionClient:
    """A session at *server* with the id *name*. `close` deletes it.

    Requests go to *url*, which leads to the server, with up to *retries* retries. `history` is what
    a client without sessions would have to send; `process` is the process of the last turn.
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
        self.id = name or f"session-{uuid.uuid4().hex}"
        self.history: list[Json] = []
        self.process = 0
        self._server = server
        self._profile = profile
        self._headers = {"Authorization": f"Bearer {key}"}
        self._client = openai.OpenAI(base_url=url or server.url, api_key=key, max_retries=retries)

    def ask(self, *texts: str | Json, **more: Any) -> Answer:
        """Send user texts, or messages, to the session, and return the answer."""
        messages = _messages(texts)
        answer = self._complete(messages, session_id=self.id, **more)
        self.process = last_process(self._server)
        if "idempotent-replayed" not in answer.headers:
            self.history = [*self._before(messages), *messages, answer.message]
        return answer

    def ask_without_session(self, *texts: str | Json, **more: Any) -> Answer:
        """Send the same without a session, after the whole history."""
        messages = _messages(texts)
        return self._complete([*self._before(messages), *messages], session_id=None, **more)

    def ask_failing(self, *texts: str | Json, **more: Any) -> Any:
        """Return the error of a turn that must fail."""
        try:
            answer = self._complete(_messages(texts), session_id=self.id, **more)
        except openai.APIError as error:
            return error
        raise AssertionError(answer)

    def ask_and_disconnect(self, *texts: str | Json, **more: Any) -> None:
        """Begin a turn, and disconnect once the model has begun to answer."""
        with self._request(
            _messages(texts), session_id=self.id, stream=True, **more
        ).parse() as stream:
            assert any(choice.delta.content for chunk in stream for choice in chunk.choices)

    def get(self) -> tuple[int, Json]:
        """Return status and body of GET on the session."""
        return self.call("GET", f"/v1/sessions/{self.id}")

    @property
    def messages(self) -> list[Json]:
        status, body = self.get()
        assert status == 200, body
        return list(body["messages"])

    def delete(self) -> int:
        return self.call("DELETE", f"/v1/sessions/{self.id}")[0]

    def stats(self) -> Json:
        return self.call("GET", "/v1/sessions/stats")[1]

    def call(self, method: str, path: str) -> tuple[int, Json]:
        status, _, data = self._server.call(method, path, headers=self._headers)
        return status, json.loads(data)

    def kill_process(self) -> None:
        """Kill the process of the last turn, if it is still parked."""
        if self.process in self._server.claudes():
            os.kill(self.process, signal.SIGKILL)
            assert eventually(lambda: not alive(self.process))

    def close(self) -> None:
        self._client.close()
        with suppress(ConnectionError):  # its gateway was stopped, or stops now
            self.delete()

    def _before(self, messages: list[Json]) -> list[Json]:
        """Return the history. System messages in *messages* replace those in it."""
        renewed = any(message["role"] in SYSTEM for message in messages)
        return [old for old in self.history if not (renewed and old["role"] in SYSTEM)]

    def _complete(
        self, messages: list[Json], *, session_id: str | None, stream: bool = False, **more: Any
    ) -> Answer:
        raw = self._request(messages, session_id=session_id, stream=stream, **more)
        answer = _gathered(raw.parse()) if stream else _whole(raw.parse().model_dump())
        answer.headers = dict(raw.headers.items())
        return answer

    def _request(
        self,
        messages: list[Json],
        *,
        session_id: str | None,
        stream: bool,
        headers: dict[str, str] | None = None,
        claude: Json | None = None,
        **more: Any,
    ) -> Any:
        extra: Json = {"claude": {"profile": self._profile, **(claude or {})}}
        if session_id is not None:
            extra["session_id"] = session_id
        if stream:
            more |= {"stream": True, "stream_options": {"include_usage": True}}
        return self._client.chat.completions.with_raw_response.create(
            messages=messages,  # type: ignore[arg-type]
            extra_body=extra,
            extra_headers=headers,
            **{"model": MODEL, **more},
        )


def ask_both_ways(
    session: SessionClient, upstream: Upstream, *texts: str | Json, **more: Any
) -> Answer:
    """Ask in the session, and without one after the whole history.

    The model's input, the answer and the usage must be the same.
    """
    upstream.clear()
    expected = session.ask_without_session(*texts, **more)
    answer = session.ask(*texts, **more)
    without, within = (request.body for request in upstream.requests)
    assert model_input(within) == model_input(without)
    assert reminders(within) == reminders(without)
    assert (answer.message, answer.reason) == (expected.message, expected.reason)
    assert answer.usage == expected.usage
    return answer


def remember(word: str) -> str:
    """Return a text whose *word* [[recall]] finds once: the answer does not repeat it."""
    return f"remember: {word} [[say ok]]"


def last_process(server: Server) -> int:
    """Return the process of the last turn, 0 if LOG_LEVEL is not debug."""
    return int(("0", *re.findall(r" to (\d+)", server.log()))[-1])


def model_input(body: Json) -> Json:
    """Return a request's content without what may differ from request to request.

    That is the user id, the cache marks, and an agent's reminders. Claude Code puts the reminders
    before the first message of its own conversation. In a process that has served earlier turns
    this is another message than in a process that got them as history. See `reminders`.
    """
    content = {key: value for key, value in body.items() if key != "metadata"}
    spoken = [message for message in body["messages"] if message["role"] != "system"]
    content["messages"] = [{"role": m["role"], "content": _blocks(m["content"])} for m in spoken]
    content["system"] = [
        block for block in _blocks(body.get("system", [])) if "billing-header" not in block["text"]
    ]
    bare: Json = _without_marks(content)
    return bare


def reminders(body: Json) -> list[str]:
    """Return the reminders that Claude Code adds anywhere, without the names of paths."""
    contents = [_as_blocks(message["content"]) for message in body["messages"]]
    blocks = [block for content in contents for block in content]
    inner = [part for block in blocks for part in _as_blocks(block.get("content", []))]
    texts = [block["text"] for block in (*blocks, *inner) if _reminds(block)]
    return sorted(re.sub(r" /\S+", "", text).strip() for text in texts)


def _blocks(content: str | list[Json]) -> list[Json]:
    return [_result(block) for block in _as_blocks(content) if not _reminds(block)]


def _result(block: Json) -> Json:
    """Return a tool result without the reminders in it and the line end before them."""
    if block["type"] != "tool_result":
        return block
    content = [
        {**part, "text": part["text"].rstrip()} if "text" in part else part
        for part in _blocks(block.get("content", []))
    ]
    return {**block, "content": content}


def _as_blocks(content: str | list[Json]) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _reminds(block: Json) -> bool:
    return bool(block.get("text", "").startswith("<system-reminder>"))


def _without_marks(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_marks(v) for k, v in value.items() if k != "cache_control"}
    return [_without_marks(item) for item in value] if isinstance(value, list) else value


def _messages(texts: tuple[str | Json, ...]) -> list[Json]:
    return [{"role": "user", "content": text} if isinstance(text, str) else text for text in texts]


def _whole(body: Json) -> Answer:
    choice = body["choices"][0]
    received = choice["message"]
    message = {"role": "assistant", "content": received["content"]}
    for kind in ("tool_calls", "function_call"):
        if received.get(kind):
            message[kind] = received[kind]
    return Answer(message, choice["finish_reason"], body["usage"])


def _gathered(chunks: Any) -> Answer:
    """Return the answer that the chunks of a stream add up to."""
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
