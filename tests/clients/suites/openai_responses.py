"""The `openai` library for Python, through the Responses API, in the versions that are used."""

import asyncio
import json
import os

import openai
import pytest
from pydantic import BaseModel

MODEL = os.environ["CLIENT_MODEL"]
FUNCTION = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
CALL = '[[tool get_weather {"city": "Zürich"}]] [[result]]'


class Weather(BaseModel):
    """Told as a function's arguments and as an answer."""

    city: str
    degrees: list[float]


WEATHER = '{"city": "Zürich", "degrees": [1.5, -2]}'


@pytest.fixture
def client():
    with openai.OpenAI(max_retries=0) as client:
        yield client


def test_create(client):
    """A response has its text, its status and its tokens."""
    response = client.responses.create(model=MODEL, input="[[say Good day.]]")
    assert response.output_text == "Good day."
    assert response.status == "completed"
    used = response.usage
    assert used.total_tokens == used.input_tokens + used.output_tokens


def test_raw_stream(client):
    """The events of a stream come in their order."""
    with client.responses.create(model=MODEL, input="[[deltas 3]]", stream=True) as events:
        told = list(events)
    assert told[0].type == "response.created"
    assert told[-1].type == "response.completed"
    texts = [event.delta for event in told if event.type == "response.output_text.delta"]
    assert "".join(texts) == told[-1].response.output_text == "w1 w2 w3"


def test_failed_stream(client):
    """A stream that breaks ends with the failed response, which has the reason."""
    text = "[[deltas 9]] [[break 529]]"
    with client.responses.create(model=MODEL, input=text, stream=True) as events:
        *_, last = events
    assert last.type == "response.failed"
    assert (last.response.status, last.response.error.code) == ("failed", "server_is_overloaded")


def test_stream(client):
    """The library's own stream adds up to the same."""
    with client.responses.stream(model=MODEL, input=CALL, tools=[FUNCTION]) as events:
        for _ in events:
            pass
        response = events.get_final_response()
    assert json.loads(response.output[0].arguments) == {"city": "Zürich"}


def test_parse(client):
    """A structured answer is parsed, whole or streamed."""
    asked = {"model": MODEL, "input": f"[[json {WEATHER}]]", "text_format": Weather}
    weather = Weather.model_validate_json(WEATHER)
    assert client.responses.parse(**asked).output_parsed == weather
    with client.responses.stream(**asked) as events:
        assert events.get_final_response().output_parsed == weather


def test_parsed_call(client):
    """The arguments of a call are parsed into a pydantic model."""
    tools = [openai.pydantic_function_tool(Weather)]
    asked = {"model": MODEL, "input": f"[[tool Weather {WEATHER}]]", "tools": tools}
    (call,) = client.responses.parse(**asked).output
    assert call.parsed_arguments == Weather.model_validate_json(WEATHER)


def test_function_loop(client):
    """A whole output goes back with the result of the call."""
    items = [{"role": "user", "content": CALL}]
    first = client.responses.create(model=MODEL, input=items, tools=[FUNCTION])
    (call,) = first.output
    items += [item.model_dump(exclude_none=True) for item in first.output]
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "Sunny."})
    second = client.responses.create(model=MODEL, input=items, tools=[FUNCTION])
    assert second.output_text == "Sunny."


def test_continuation(client):
    """A stored response is continued, read with its input, and deleted."""
    first = client.responses.create(model=MODEL, input="[[say Hi]] remember: TULIP")
    asked = {"model": MODEL, "input": "[[recall]]", "previous_response_id": first.id}
    assert client.responses.create(**asked).output_text == "TULIP"
    with client.responses.stream(**asked) as events:
        assert events.get_final_response().previous_response_id == first.id
    read = client.responses.retrieve(first.id)
    assert (read.output_text, read.status) == ("Hi", "completed")
    (item,) = client.responses.input_items.list(first.id)
    assert item.content[0].text == "[[say Hi]] remember: TULIP"
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(**asked)
    assert caught.value.code == "previous_response_not_found"


def test_background(client):
    """A response runs in the background: polled, streamed from any event on, and cancelled."""
    asked = {"model": MODEL, "background": True}
    response = client.responses.create(input="[[deltas 3]]", **asked)
    assert response.status == "queued"
    while response.status in ("queued", "in_progress"):
        response = client.responses.retrieve(response.id)
    assert (response.status, response.output_text) == ("completed", "w1 w2 w3")
    events = list(client.responses.create(input="[[deltas 3]]", stream=True, **asked))
    id_ = events[0].response.id
    assert [event.type for event in events[:2]] == ["response.created", "response.queued"]
    assert events[-1].response.output_text == "w1 w2 w3"
    later = list(client.responses.retrieve(id_, stream=True, starting_after=3))
    assert [event.sequence_number for event in later] == list(range(4, len(events)))
    with client.responses.stream(response_id=id_) as helper:
        assert helper.get_final_response().output_text == "w1 w2 w3"
    long = client.responses.create(input="[[deltas 3]] [[stall 60]]", **asked)
    assert client.responses.cancel(long.id).status == "cancelled"


def test_async():
    """The asynchronous client does the same."""

    async def go():
        async with openai.AsyncOpenAI(max_retries=0) as client:
            asked = {"model": MODEL, "input": f"[[json {WEATHER}]]"}
            whole = await client.responses.create(**asked)
            events = await client.responses.create(**asked, stream=True)
            last = [event async for event in events][-1]
            async with client.responses.stream(**asked) as helper:
                streamed = await helper.get_final_response()
            parsed = await client.responses.parse(**asked, text_format=Weather)
            return whole, last.response, streamed, parsed

    assert [response.output_text for response in asyncio.run(go())] == [WEATHER] * 4


def test_error(client):
    """A mistake is an error with its path."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=MODEL, input=[{"type": "computer_call"}])
    assert caught.value.param == "input.0.type"
