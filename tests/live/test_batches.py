"""Batches on the real Claude Code, through OpenAI's own client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.support.server import MODEL, eventually

PLAIN = {"claude": {"profile": "plain"}}


@pytest.fixture
def client(gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=gateway.url, api_key="unused", max_retries=0) as client:
        yield client


def body(endpoint: str, text: str) -> dict[str, Any]:
    """Return a request to which the model answers as *text* says."""
    messages = [{"role": "user", "content": text}]
    bodies: dict[str, dict[str, Any]] = {
        "/v1/responses": {"model": MODEL, "input": text, **PLAIN},
        "/v1/chat/completions": {"model": MODEL, "messages": messages, **PLAIN},
        "/v1/completions": {"model": MODEL, "prompt": text, **PLAIN},
        "/v1/messages": {"model": MODEL, "messages": messages, "max_tokens": 100},
    }
    return bodies[endpoint]


def begin(client: openai.OpenAI, endpoint: str, *lines: bytes | dict[str, Any]) -> Any:
    """Begin a batch of these lines or bodies."""
    written = [
        line
        if isinstance(line, bytes)
        else json.dumps({"custom_id": f"n{n}", "method": "POST", "url": endpoint, "body": line})
        for n, line in enumerate(lines)
    ]
    content = b"\n".join(each if isinstance(each, bytes) else each.encode() for each in written)
    file = client.files.create(file=("questions.jsonl", content), purpose="batch")
    return client.batches.create(
        input_file_id=file.id,
        endpoint=endpoint,  # type: ignore[arg-type]
        completion_window="24h",
        metadata={"run": "1"},
    )


def ended(client: openai.OpenAI, id_: str) -> Any:
    """Wait until a batch has ended, and return it."""
    open_ = ("validating", "in_progress", "finalizing", "cancelling")
    assert eventually(lambda: client.batches.retrieve(id_).status not in open_)
    return client.batches.retrieve(id_)


def results(client: openai.OpenAI, file_id: str) -> list[Any]:
    return [json.loads(line) for line in client.files.content(file_id).iter_lines()]


def test_batches(client, upstream):
    """Each API's requests run, and their answers are in the output file."""
    texts = {
        "/v1/responses": lambda answer: answer["output"][-1]["content"][0]["text"],
        "/v1/chat/completions": lambda answer: answer["choices"][0]["message"]["content"],
        "/v1/completions": lambda answer: answer["choices"][0]["text"],
        "/v1/messages": lambda answer: answer["content"][-1]["text"],
    }
    batches = {
        endpoint: begin(client, endpoint, *(body(endpoint, f"[[say {n}]]") for n in range(2)))
        for endpoint in texts
    }
    for endpoint, text in texts.items():
        batch = ended(client, batches[endpoint].id)
        assert (batch.status, batch.endpoint, batch.metadata) == (
            "completed",
            endpoint,
            {"run": "1"},
        )
        assert (batch.request_counts.completed, batch.request_counts.failed) == (2, 0)
        lines = results(client, batch.output_file_id)
        assert [line["custom_id"] for line in lines] == ["n0", "n1"]
        assert [text(line["response"]["body"]) for line in lines] == ["0", "1"]
    listed = [batch.id for batch in client.batches.list(limit=2)]
    assert listed[:4] == [batch.id for batch in batches.values()][::-1]


def test_failures(client, gateway):
    """Lines that fail are in the error file, and the others are answered."""
    endpoint = "/v1/chat/completions"
    wrong = {**body(endpoint, "Hi"), "temperature": "hot"}
    batch = begin(client, endpoint, b"{", wrong, body(endpoint, "[[say yes]]"))
    batch = ended(client, batch.id)
    assert (batch.request_counts.total, batch.request_counts.failed) == (3, 2)
    bad, refused = results(client, batch.error_file_id)
    assert (bad["error"]["code"], bad["response"]) == ("invalid_json_line", None)
    assert (refused["custom_id"], refused["response"]["status_code"]) == ("n1", 400)
    assert refused["response"]["body"]["error"]["param"] == "temperature"
    (good,) = results(client, batch.output_file_id)
    assert good["response"]["body"]["choices"][0]["message"]["content"] == "yes"
    assert good["response"]["request_id"] in gateway.log()


def test_cancel(client, gateway, upstream):
    """A cancelled batch ends its turns at once."""
    endpoint = "/v1/chat/completions"
    batch = begin(client, endpoint, *(body(endpoint, "[[wait 100]]") for _ in range(3)))
    assert eventually(lambda: upstream.requests)
    client.batches.cancel(batch.id)
    batch = ended(client, batch.id)
    assert batch.status == "cancelled"
    assert batch.cancelled_at - batch.cancelling_at < 30
    assert eventually(lambda: not gateway.health()["turns"]["running"])
    assert {line["error"]["code"] for line in results(client, batch.error_file_id)} == {
        "batch_cancelled"
    }
