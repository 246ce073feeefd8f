"""The check of the Messages API."""

from __future__ import annotations

from wrapper.smoke.checks import BODY
from wrapper.smoke.client import Client, NotOffered, error_text, expect, parse

MESSAGES = "/v1/messages"


def check_messages(client: Client) -> None:
    model = client.ask("GET", "/v1/models")["data"][0]["id"]
    status, data = client.call("POST", MESSAGES, {"model": model, "max_tokens": 1000, **BODY})
    if status == 404:  # an old server, or an engine that cannot
        raise NotOffered
    expect(status == 200, f"status {status}: {error_text(data)}")
    message = parse(data)
    expect(message["type"] == "message", "the answer is not a message")
    text = "".join(block.get("text", "") for block in message["content"])
    expect(text, "the answer is empty")
    expect(message["usage"]["output_tokens"] > 0, "the usage has no tokens")
