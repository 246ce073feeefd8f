"""The checks of what every server has, of chat completions and of sessions."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import quote

from wrapper.smoke.client import (
    Client,
    Failed,
    NotOffered,
    describe_error,
    error_text,
    expect,
    parse,
)

CHAT = "/v1/chat/completions"
QUESTION = "Answer with the one word OK."
BODY = {"messages": [{"role": "user", "content": QUESTION}]}


def check_health(client: Client) -> None:
    status, data = client.call("GET", "/health")
    report = parse(data)
    parts = [*report.get("pools", {}).values(), *report.values()]
    errors = [part["error"] for part in parts if isinstance(part, dict) and part.get("error")]
    expect(status == 200, f"status {status}: {'; '.join(errors) or error_text(data)}")
    expect(report["status"] in ("ok", "starting"), f"{report['status']}: {'; '.join(errors)}")


def check_models(client: Client) -> None:
    listed = client.ask("GET", "/v1/models")
    expect(listed["object"] == "list", "the answer is not a list")
    expect(listed["data"], "there are no models")
    for model in listed["data"]:
        good = model["object"] == "model" and isinstance(model["created"], int)
        expect(good and model["owned_by"], f"{model['id']} is not a model object")
    first = listed["data"][0]["id"]
    model = client.ask("GET", f"/v1/models/{quote(first)}")
    expect(model["id"] == first, f"the model {first} has the id {model['id']}")


def check_auth(client: Client) -> None:
    status = client.ask("GET", "/v1/auth/status")
    expect(status["ready"] is True, f"{status['method']}: {'; '.join(status['missing'])}")


def check_completion(client: Client) -> None:
    _check_answer(client.ask("POST", CHAT, BODY))


def check_stream(client: Client) -> None:
    text = client.succeed("POST", CHAT, {**BODY, "stream": True}).decode()
    events = [event for event in text.split("\n\n") if event and not event.startswith(":")]
    expect(
        bool(events) and events[-1] == "data: [DONE]",
        f"the stream ends without [DONE]: {text[-200:]}",
    )
    chunks = [parse(event.removeprefix("data: ")) for event in events[:-1]]
    for chunk in chunks:
        if "error" in chunk:
            raise Failed(describe_error(chunk["error"]))
        expect(chunk["object"] == "chat.completion.chunk", f"this is not a chunk: {chunk}")
    expect(
        len({chunk["id"] for chunk in chunks}) == 1,
        "the chunks have different ids, or there are none",
    )
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    expect(choices[0]["delta"].get("role") == "assistant", "the first chunk has no role")
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    expect(text, "the answer is empty")
    expect(choices[-1]["finish_reason"] is not None, "the last chunk has no finish_reason")


def check_sessions(client: Client) -> None:
    if client.call("GET", "/v1/sessions")[0] in (400, 404):  # SESSION_STORE=none, or an old server
        raise NotOffered
    client.ask("GET", "/v1/sessions")
    session_id = f"smoke-{uuid.uuid4().hex}"
    _check_answer(client.ask("POST", CHAT, {**BODY, "session_id": session_id}))
    client.succeed("GET", f"/v1/sessions/{session_id}")
    client.succeed("DELETE", f"/v1/sessions/{session_id}")
    expect(
        client.call("GET", f"/v1/sessions/{session_id}")[0] == 404,
        "the deleted session still exists",
    )


def _check_answer(body: Any) -> None:
    expect(body["object"] == "chat.completion", f"the object is {body['object']}")
    choice = body["choices"][0]
    expect(choice["message"]["role"] == "assistant", "the role is not assistant")
    expect(choice["message"]["content"], "the answer is empty")
    expect(choice["finish_reason"] is not None, "there is no finish_reason")
    expect(body["usage"]["completion_tokens"] > 0, "the usage has no tokens")
