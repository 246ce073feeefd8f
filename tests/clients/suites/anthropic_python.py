"""The `anthropic` library for Python."""

import asyncio
import base64
import os

import anthropic
import pytest
from anthropic import beta_tool
from picture import PICTURE
from pydantic import BaseModel

MODEL = os.environ["CLIENT_MODEL"]
THINKS = os.environ["CLIENT_THINKS"]
WEATHER_TOOL = {
    "name": "get_weather",
    "description": "Tell the weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
CALL = '[[tool get_weather {"city": "Zürich"}]] [[result]]'


class Weather(BaseModel):
    """Told as an answer."""

    city: str
    degrees: list[float]


WEATHER = '{"city": "Zürich", "degrees": [1.5, -2]}'


@pytest.fixture
def client():
    with anthropic.Anthropic(max_retries=0) as client:
        yield client


def asked(content, **more):
    messages = [{"role": "user", "content": content}]
    return {"model": MODEL, "max_tokens": 2000, "messages": messages, **more}


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def test_message(client):
    """A message has its text, its reason to end, its tokens and its id."""
    message = client.messages.create(**asked("[[say Good day.]]", system="Be brief."))
    assert (message.type, message.role, message.model) == ("message", "assistant", MODEL)
    assert text_of(message) == "Good day."
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens == 2
    assert message.usage.cache_read_input_tokens is not None
    assert message._request_id.startswith("req_")


def test_stream(client):
    """A stream is read event by event, from message_start to message_stop."""
    with client.messages.create(**asked("[[deltas 6]]", stream=True)) as stream:
        events = list(stream)
    assert (events[0].type, events[-1].type) == ("message_start", "message_stop")
    texts = [event.delta.text for event in events if event.type == "content_block_delta"]
    assert "".join(texts) == "w1 w2 w3 w4 w5 w6"


def test_stream_helper(client):
    """The stream helper reads texts as they come, and puts the message together."""
    with client.messages.stream(**asked("[[deltas 4]]")) as stream:
        assert "".join(stream.text_stream) == "w1 w2 w3 w4"
        message = stream.get_final_message()
    assert (text_of(message), message.stop_reason) == ("w1 w2 w3 w4", "end_turn")


def test_async():
    """The async client's messages, streams and stream helpers run side by side."""

    async def ask():
        async with anthropic.AsyncAnthropic(max_retries=0) as client:

            async def streamed():
                stream = await client.messages.create(**asked("[[deltas 3]]", stream=True))
                events = [event async for event in stream]
                deltas = [event.delta for event in events if event.type == "content_block_delta"]
                return "".join(delta.text for delta in deltas)

            async def helped():
                async with client.messages.stream(**asked("[[deltas 3]]")) as stream:
                    return await stream.get_final_text()

            whole = client.messages.create(**asked("[[say w1 w2 w3]]"))
            message, *texts = await asyncio.gather(whole, streamed(), helped())
            return [text_of(message), *texts]

    assert asyncio.run(ask()) == ["w1 w2 w3"] * 3


@pytest.mark.parametrize("stream", [False, True])
def test_tool_loop(client, stream):
    """A tool is called, and its result comes back to the model with the rest, thinking included."""
    request = asked(f"[[think Let me see.]] {CALL}", model=THINKS, tools=[WEATHER_TOOL])
    request["thinking"] = {"type": "adaptive"}

    def send():
        if not stream:
            return client.messages.create(**request)
        with client.messages.stream(**request) as running:
            return running.get_final_message()

    first = send()
    assert first.stop_reason == "tool_use"
    call = first.content[-1]
    assert (call.name, call.input) == ("get_weather", {"city": "Zürich"})
    assert first.content[0].type == "thinking"
    assert first.content[0].signature
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "Sunny.", "is_error": False}
    request["messages"] += [
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result]},
    ]
    last = send()
    assert (text_of(last), last.stop_reason) == ("Sunny.", "end_turn")


@pytest.mark.parametrize("stream", [False, True])
def test_tool_runner(client, stream):
    """The library's own tool loop runs until the model has its answer."""

    @beta_tool
    def add(a: int, b: int) -> str:
        """Add two numbers."""
        return f"The sum is {a + b}."

    text = '[[tool add {"a": 3, "b": 4}]] [[result]]'
    runner = client.beta.messages.tool_runner(**asked(text), tools=[add], stream=stream)
    messages = [turn.get_final_message() if stream else turn for turn in runner]
    assert [message.stop_reason for message in messages] == ["tool_use", "end_turn"]
    assert text_of(messages[-1]) == "The sum is 7."


def test_parse(client):
    """The answer that has to fit a model is parsed into it."""
    message = client.messages.parse(**asked(f"[[json {WEATHER}]]"), output_format=Weather)
    assert message.parsed_output == Weather(city="Zürich", degrees=[1.5, -2])


def test_parse_of_a_stream(client):
    """A streamed answer is parsed, too."""
    text = f"[[json {WEATHER}]]"
    with client.messages.stream(**asked(text), output_format=Weather) as stream:
        parsed = stream.get_final_message().parsed_output
    assert parsed == Weather(city="Zürich", degrees=[1.5, -2])


def test_picture_and_document(client):
    """A picture and a document are read, and marks for the cache are taken."""
    data = base64.b64encode(PICTURE).decode()
    picture = {"type": "base64", "media_type": "image/png", "data": data}
    document = {"type": "text", "media_type": "text/plain", "data": "A page."}
    content = [
        {"type": "image", "source": picture},
        {"type": "document", "source": document, "citations": {"enabled": True}},
        {"type": "text", "text": "[[say Seen.]]", "cache_control": {"type": "ephemeral"}},
    ]
    assert text_of(client.messages.create(**asked(content))) == "Seen."


@pytest.mark.parametrize(
    ("text", "more", "error", "type_"),
    [
        ("x", {"model": "gpt-nothing"}, anthropic.NotFoundError, "not_found_error"),
        ("x", {"max_tokens": 0}, anthropic.BadRequestError, "invalid_request_error"),
        ("[[error 400 no such field]]", {}, anthropic.BadRequestError, "invalid_request_error"),
        ("[[error 401]]", {}, anthropic.AuthenticationError, "authentication_error"),
        ("[[error 403]]", {}, anthropic.PermissionDeniedError, "permission_error"),
        ("[[error 413]]", {}, anthropic.RequestTooLargeError, "request_too_large"),
        ("[[error 429]]", {}, anthropic.RateLimitError, "rate_limit_error"),
        ("[[error 500]]", {}, anthropic.InternalServerError, "api_error"),
        ("[[error 529]]", {}, anthropic.OverloadedError, "overloaded_error"),
    ],
)
def test_errors(client, text, more, error, type_):
    """Each error is the library's own class, with the API's type and the request's id."""
    with pytest.raises(error) as caught:
        client.messages.create(**asked(text, **more))
    assert caught.value.type == type_
    assert caught.value.request_id == caught.value.body["request_id"]


def test_error_in_mid_stream(client):
    """An error in mid-stream is raised."""
    with (
        client.messages.create(**asked("[[deltas 9]] [[break 529]]", stream=True)) as stream,
        pytest.raises(anthropic.APIStatusError),
    ):
        list(stream)


def test_retries():
    """The library asks again after an overload, and has its answer."""
    with anthropic.Anthropic(max_retries=2) as client:
        message = client.messages.create(**asked("[[error 529]] [[fail 1]] [[say Then.]]"))
    assert text_of(message) == "Then."


def test_count_tokens(client):
    """Counting tokens is refused with the reason, since only an exact number would be of use."""
    with pytest.raises(anthropic.NotFoundError, match="count"):
        client.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": "x"}])


def test_models(client):
    """The models are listed page by page, and can be looked up by their ids."""
    pages = list(client.models.list(limit=2))
    ids = [model.id for model in pages]
    assert len(ids) == len(set(ids)) > 2
    assert client.models.retrieve(ids[0]).display_name == pages[0].display_name
    assert pages[0].created_at.year >= 1970
