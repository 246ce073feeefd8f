"""Background work for the pictures of the console: batches, their files, and a response."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import openai

from tests.support.server import eventually

MODEL = "haiku"
ENDPOINT: Literal["/v1/chat/completions"] = "/v1/chat/completions"
# Goes on until it is cancelled.
LONG = "Write the report of the third quarter. [[deltas 90000]] [[pause 0.5]]"
REPORTS = [LONG] * 8
WAIT_SECONDS = 300
QUESTIONS = [f"Which topic has message {number}? [[say Billing]]" for number in range(40)]


@contextmanager
def background_work(url: str) -> Iterator[list[str]]:
    """Begin batches and a response, and cancel what still runs when the context ends.

    It yields the paths of the pages of what runs, and of what has ended.
    """
    with openai.OpenAI(base_url=f"{url}/v1", api_key="unused") as client:
        done = begin(client, "topics.jsonl", [*QUESTIONS, ""], run="nightly", team="support")
        wait_for("completed batch", lambda: client.batches.retrieve(done).status == "completed")
        client.batches.cancel(begin(client, "drafts.jsonl", QUESTIONS[:3]))
        response = client.responses.create(model=MODEL, input=LONG, background=True)
        runs = begin(client, "reports.jsonl", [*REPORTS, *QUESTIONS[len(REPORTS) :]])
        others = len(QUESTIONS) - len(REPORTS)
        wait_for("half-done batch", lambda: completed(client, runs) >= others)
        try:
            yield [f"batches/batch?id={done}", f"responses/response?id={response.id}"]
        finally:
            client.batches.cancel(runs)
            client.responses.cancel(response.id)


def wait_for(what: str, find: Callable[[], Any]) -> Any:
    """Return the first true value of *find*. Raises TimeoutError, which names *what*."""
    found = eventually(find, WAIT_SECONDS)
    if not found:
        raise TimeoutError(f"There is no {what} after {WAIT_SECONDS} s.")
    return found


def completed(client: openai.OpenAI, id_: str) -> int:
    counts = client.batches.retrieve(id_).request_counts
    return counts.completed if counts else 0


def begin(client: openai.OpenAI, name: str, inputs: list[str], **metadata: str) -> str:
    """Begin a batch of a file with this *name*, and return its id. An empty input fails."""
    lines = [
        {"custom_id": f"{number}", "method": "POST", "url": ENDPOINT, "body": body_of(text)}
        for number, text in enumerate(inputs)
    ]
    content = "\n".join(map(json.dumps, lines)).encode()
    file = client.files.create(file=(name, content), purpose="batch")
    return client.batches.create(
        input_file_id=file.id, endpoint=ENDPOINT, completion_window="24h", metadata=metadata
    ).id


def body_of(text: str) -> dict[str, object]:
    messages = [{"role": "user", "content": text}] if text else []
    return {"model": MODEL, "messages": messages, "claude": {"profile": "plain"}}
