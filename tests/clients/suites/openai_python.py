"""The `openai` library for Python, through chat completions, in the versions that are used."""

import asyncio
import base64
import json
import os

import openai
import pytest
from picture import PICTURE
from pydantic import BaseModel

MODEL = os.environ["CLIENT_MODEL"]
FUNCTION = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tell the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
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


def asked(text, **more):
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **more}


def test_completion(client):
    """An answer has its text, its reason to end and its tokens."""
    reply = client.chat.completions.create(**asked("[[say Good day.]]"))
    assert reply.choices[0].message.content == "Good day."
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


def test_choices(client):
    """With n there are as many answers."""
    reply = client.chat.completions.create(**asked("[[say Hi]]", n=2))
    assert [(c.index, c.message.content) for c in reply.choices] == [(0, "Hi"), (1, "Hi")]


def test_stream(client):
    """A stream is read chunk by chunk, with the usage at its end."""
    options = {"include_usage": True}
    with client.chat.completions.create(
        **asked("[[deltas 6]]", stream=True, stream_options=options)
    ) as stream:
        chunks = list(stream)
    texts = [c.choices[0].delta.content or "" for c in chunks if c.choices]
    assert "".join(texts) == "w1 w2 w3 w4 w5 w6"
    assert chunks[-1].usage.completion_tokens == 6


def test_stream_helper(client):
    """The stream helper tells events and puts the answer together, also of two choices."""
    with client.chat.completions.stream(**asked("[[deltas 4]]", n=2)) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert kinds.count("content.done") == 2
    assert [c.message.content for c in final.choices] == ["w1 w2 w3 w4"] * 2


def test_async():
    """The async client's answers, streams and stream helpers run side by side."""

    async def ask():
        async with openai.AsyncOpenAI(max_retries=0) as client:
            completions = client.chat.completions

            async def streamed():
                stream = await completions.create(**asked("[[deltas 3]]", stream=True))
                return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

            async def helped():
                async with completions.stream(**asked("[[deltas 3]]")) as stream:
                    return (await stream.get_final_completion()).choices[0].message.content

            whole = completions.create(**asked("[[say w1 w2 w3]]"))
            reply, *texts = await asyncio.gather(whole, streamed(), helped())
            return [reply.choices[0].message.content, *texts]

    assert asyncio.run(ask()) == ["w1 w2 w3"] * 3


def test_models(client):
    """The models that are listed can be looked up by their ids."""
    listed = list(client.models.list())
    assert listed
    assert client.models.retrieve(listed[0].id).id == listed[0].id


@pytest.mark.parametrize(
    ("text", "more", "error"),
    [
        ("hello", {"model": "gpt-nothing"}, openai.NotFoundError),
        ("hello", {"temperature": 9}, openai.BadRequestError),
        ("[[error 401]]", {}, openai.AuthenticationError),
        ("[[error 429]]", {}, openai.RateLimitError),
        ("[[error 500]]", {}, openai.InternalServerError),
    ],
)
def test_errors(client, text, more, error):
    """Errors are of the library's own kinds, with a message and a request id."""
    for stream in (False, True):
        with pytest.raises(error) as caught:
            client.chat.completions.create(**{**asked(text, stream=stream), **more})
        assert caught.value.body["message"]
        assert caught.value.request_id


def test_error_in_mid_stream(client):
    """A stream that breaks raises, and is never taken for a whole answer."""
    stream = client.chat.completions.create(**asked("[[deltas 9]] [[break 529]]", stream=True))
    reasons = []
    with pytest.raises(openai.APIError):
        reasons.extend(chunk.choices[0].finish_reason for chunk in stream)
    assert not any(reasons)


def test_parse(client):
    """An answer is parsed into a pydantic model."""
    said = client.chat.completions.parse(
        **asked(f"[[json {WEATHER}]]"), response_format=Weather
    ).choices[0]
    assert said.message.parsed == Weather(city="Zürich", degrees=[1.5, -2])
    assert json.loads(said.message.content) == json.loads(WEATHER)
    assert (said.finish_reason, said.message.tool_calls or []) == ("stop", [])


def test_parse_stream(client):
    """A streamed answer is parsed into a pydantic model."""
    with client.chat.completions.stream(
        **asked(f"[[json {WEATHER}]]"), response_format=Weather
    ) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.parsed == Weather(city="Zürich", degrees=[1.5, -2])


def test_json_object(client):
    """In JSON mode the answer is an object, bare, whole as streamed."""
    more = {"response_format": {"type": "json_object"}}
    reply = client.chat.completions.create(**asked(f"JSON: [[json {WEATHER}]]", **more))
    assert json.loads(reply.choices[0].message.content) == json.loads(WEATHER)
    with client.chat.completions.stream(**asked(f"JSON: [[json {WEATHER}]]", **more)) as stream:
        said = stream.get_final_completion().choices[0].message.content
    assert json.loads(said) == json.loads(WEATHER)


def finish(client, messages, message):
    """Return what the model says of the function's result."""
    assert [c.function.name for c in message.tool_calls] == ["get_weather"]
    assert json.loads(message.tool_calls[0].function.arguments) == {"city": "Zürich"}
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "It snows."}
    reply = client.chat.completions.create(
        model=MODEL, tools=[FUNCTION], messages=[*messages, message.model_dump(), result]
    )
    assert reply.choices[0].finish_reason == "stop"
    return reply.choices[0].message.content


def test_function(client):
    """The client's function is called, and the model is told its result."""
    request = asked(CALL, tools=[FUNCTION])
    choice = client.chat.completions.create(**request).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert finish(client, request["messages"], choice.message) == "It snows."


def test_function_stream(client):
    """A call that is streamed is put together by the stream helper."""
    request = asked(CALL, tools=[FUNCTION])
    with client.chat.completions.stream(**request) as stream:
        choice = stream.get_final_completion().choices[0]
    assert choice.finish_reason == "tool_calls"
    assert finish(client, request["messages"], choice.message) == "It snows."


def test_function_async():
    """The async client gets the call, too."""

    async def ask():
        async with openai.AsyncOpenAI(max_retries=0) as client:
            return await client.chat.completions.create(**asked(CALL, tools=[FUNCTION]))

    call = asyncio.run(ask()).choices[0].message.tool_calls[0]
    assert json.loads(call.function.arguments) == {"city": "Zürich"}


def test_function_parse(client):
    """A call's arguments are parsed into a pydantic model."""
    tools = [openai.pydantic_function_tool(Weather)]
    reply = client.chat.completions.parse(**asked(f"[[tool Weather {WEATHER}]]"), tools=tools)
    call = reply.choices[0].message.tool_calls[0]
    assert call.function.parsed_arguments == Weather(city="Zürich", degrees=[1.5, -2])


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ("none", []),
        ("auto", []),
        ("required", ["get_weather"]),
        ({"type": "function", "function": {"name": "get_time"}}, ["get_time"]),
    ],
)
def test_tool_choice(client, choice, called):
    """tool_choice says whether a function is called, and which."""
    tools = [FUNCTION, {"type": "function", "function": {"name": "get_time"}}]
    reply = client.chat.completions.create(**asked("hello", tools=tools, tool_choice=choice))
    calls = reply.choices[0].message.tool_calls or []
    assert [call.function.name for call in calls] == called
    assert all(isinstance(json.loads(call.function.arguments), dict) for call in calls)


def test_picture(client):
    """A picture beside a text is taken."""
    url = f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}"
    parts = [
        {"type": "text", "text": "[[say I see it.]]"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    reply = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": parts}]
    )
    assert reply.choices[0].message.content == "I see it."


def test_text_completion(client):
    """The older API answers each prompt."""
    reply = client.completions.create(model=MODEL, prompt=["[[say a]]", "[[say b]]"], echo=True)
    assert [choice.text for choice in reply.choices] == ["[[say a]]a", "[[say b]]b"]
