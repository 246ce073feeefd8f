"""The checks of the Responses API: a streamed response, and stored ones."""

from __future__ import annotations

from typing import Any

from wrapper.smoke.checks import QUESTION
from wrapper.smoke.client import Client, NotOffered, describe_error, expect, parse

RESPONSES = "/v1/responses"


def check_responses(client: Client) -> None:
    body = {"input": QUESTION, "stream": True, "store": False}
    text = client.succeed("POST", RESPONSES, body).decode()
    events = [_parse_event(block) for block in text.split("\n\n") if block]
    expect(events, "the stream is empty")
    numbers = [event["sequence_number"] for event in events]
    expect(numbers == [*range(len(events))], f"the events are numbered {numbers}")
    first, last = events[0], events[-1]
    expect(first["type"] == "response.created", f"the first event is {first['type']}")
    _check_response(last["response"])
    deltas = [e["delta"] for e in events if e["type"] == "response.output_text.delta"]
    expect("".join(deltas) == _text(last["response"]), "the deltas are not the whole text")


def check_stored(client: Client) -> None:
    first = _create(client)
    if not first["store"]:  # the server's setting overrules the request
        raise NotOffered
    path = f"{RESPONSES}/{first['id']}"
    expect(client.ask("GET", path)["output"] == first["output"], "the stored output differs")
    second = _create(client, previous_response_id=first["id"])
    more = second["usage"]["input_tokens"] > first["usage"]["input_tokens"]
    expect(more, "the second response does not continue the first")
    for response in (second, first):
        client.succeed("DELETE", f"{RESPONSES}/{response['id']}")
    expect(client.call("GET", path)[0] == 404, "the deleted response still exists")


def _create(client: Client, **fields: Any) -> Any:
    response = client.ask("POST", RESPONSES, {"input": QUESTION, "store": True, **fields})
    _check_response(response)
    return response


def _parse_event(block: str) -> Any:
    """Return an event, whose name stands in its first line and in its data."""
    name, _, data = block.partition("\ndata: ")
    event = parse(data)
    expect(name == f"event: {event['type']}", f"an event {event['type']} has the line {name!r}")
    return event


def _check_response(response: Any) -> None:
    expect(response["object"] == "response", "the answer is not a response")
    error = response.get("error")
    why = describe_error(error) if error else f"the response is {response['status']}"
    expect(response["status"] == "completed", why)
    expect(_text(response), "the answer is empty")
    expect(response["usage"]["output_tokens"] > 0, "the usage has no tokens")


def _text(response: Any) -> str:
    parts = [part for item in response["output"] for part in item.get("content", ())]
    return "".join(part["text"] for part in parts)
