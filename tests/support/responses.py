"""Requests to the Responses API of a ScriptedServer."""

import json
from typing import Any

import httpx
from openai import OpenAI

PATH = "/v1/responses"
HI = {"role": "user", "content": "Hi"}


def ask(server, **fields):
    """Post a response request with these *fields*; its input is "Hi" unless they say otherwise."""
    return server.post({"input": "Hi", **fields}, path=PATH)


def stream(server, **fields):
    """Request a stream, and return its events, after checking how they are framed."""
    response = ask(server, stream=True, **fields)
    assert response.status_code == 200, response.data[:300]
    frames = response.data.decode().split("\n\n")
    assert frames.pop() == ""
    events = []
    for frame in frames:
        name, data = frame.split("\n")
        events.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    return events


def client_of(server):
    """Return OpenAI's client, whose requests go to the app of *server*."""
    transport = httpx.WSGITransport(app=server.app)
    http_client: Any = httpx.Client(transport=transport, base_url="http://localhost")
    return OpenAI(
        base_url="http://localhost/v1", api_key="sk-x", http_client=http_client, max_retries=0
    )
