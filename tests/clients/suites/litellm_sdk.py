"""litellm, with the gateway as an OpenAI-compatible endpoint."""

import asyncio
import json
import os

import litellm
import pytest
from pydantic import BaseModel

FUNCTION = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


class City(BaseModel):
    """An answer with a type."""

    name: str
    people: int


def asked(text, **more):
    return {
        "model": f"openai/{os.environ['CLIENT_MODEL']}",
        "messages": [{"role": "user", "content": text}],
        "num_retries": 0,
        "max_retries": 0,
        **more,
    }


def test_completion():
    """An answer has its text and its tokens."""
    reply = litellm.completion(**asked("[[say Good day.]]"))
    assert reply.choices[0].message.content == "Good day."
    assert reply.usage.completion_tokens == 2


def test_async():
    """The async function is answered, too."""
    reply = asyncio.run(litellm.acompletion(**asked("[[say Good day.]]")))
    assert reply.choices[0].message.content == "Good day."


def test_stream():
    """A stream is read and put together again."""
    options = {"include_usage": True}
    chunks = list(litellm.completion(**asked("[[deltas 5]]", stream=True, stream_options=options)))
    whole = litellm.stream_chunk_builder(chunks)
    assert whole.choices[0].message.content == "w1 w2 w3 w4 w5"
    assert whole.usage.completion_tokens == 5


def test_reasoning():
    """What the model thinks is kept apart from the answer."""
    more = {"reasoning_effort": "high", "allowed_openai_params": ["reasoning_effort"]}
    reply = litellm.completion(**asked("[[think Hm.]] [[say Yes.]]", **more))
    message = reply.choices[0].message
    assert (message.reasoning_content, message.content) == ("Hm.", "Yes.")


@pytest.mark.parametrize(
    ("text", "more", "error"),
    [
        ("hello", {"model": "openai/gpt-nothing"}, litellm.NotFoundError),
        ("hello", {"temperature": 9}, litellm.BadRequestError),
        ("[[error 429]]", {}, litellm.RateLimitError),
    ],
)
def test_errors(text, more, error):
    """Errors are of litellm's own kinds."""
    with pytest.raises(error):
        litellm.completion(**{**asked(text), **more})


@pytest.mark.parametrize("stream", [False, True])
def test_function(stream):
    """The client's function is called, and the model is told its result."""
    request = asked('[[tool get_weather {"city": "Bern"}]] [[result]]', tools=[FUNCTION])
    reply = litellm.completion(**request, stream=stream)
    message = (litellm.stream_chunk_builder(list(reply)) if stream else reply).choices[0].message
    call = message.tool_calls[0]
    assert (call.function.name, json.loads(call.function.arguments)) == (
        "get_weather",
        {"city": "Bern"},
    )
    result = {"role": "tool", "tool_call_id": call.id, "content": "It snows."}
    request["messages"] += [message.model_dump(), result]
    reply = litellm.completion(**request)
    assert reply.choices[0].message.content == "It snows."


def test_structured_output():
    """An answer follows a schema that is made from a pydantic model."""
    said = '{"name": "Bern", "people": 134000}'
    reply = litellm.completion(**asked(f"[[json {said}]]", response_format=City))
    assert City.model_validate_json(reply.choices[0].message.content).people == 134000
