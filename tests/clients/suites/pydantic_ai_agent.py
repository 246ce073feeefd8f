"""Pydantic AI, which checks every answer against OpenAI's types again."""

import asyncio
import os

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider


class City(BaseModel):
    """An answer with a type."""

    name: str
    people: int


BERN = '{"name": "Bern", "people": 134000}'


APIS = {"responses": OpenAIResponsesModel, "chat": OpenAIChatModel}


@pytest.fixture(params=APIS, autouse=True)
def api(request, monkeypatch):
    """Let the agents of a test use each API in turn."""
    monkeypatch.setenv("CLIENT_API", request.param)


def model_of():
    kind = APIS[os.environ["CLIENT_API"]]
    return kind(os.environ["CLIENT_MODEL"], provider=OpenAIProvider())


def run(prompt, **more):
    return Agent(model_of(), **more).run_sync(prompt)


def add(a: int, b: int) -> str:
    """Add two numbers."""
    return f"The sum is {a + b}."


def test_answer():
    """An agent answers, and its tokens are counted."""
    result = run("[[say Good day.]]", instructions="Be kind.")
    assert result.output == "Good day."
    assert result.usage.output_tokens == 2


def test_stream():
    """An agent's answer is streamed."""

    async def go():
        async with Agent(model_of()).run_stream("[[deltas 5]]") as result:
            return [text async for text in result.stream_text(delta=True, debounce_by=None)]

    assert "".join(asyncio.run(go())) == "w1 w2 w3 w4 w5"


def test_function():
    """The agent's function runs here, and the model is told what it returned."""
    result = run('[[tool add {"a": 3, "b": 4}]] [[result]]', tools=[add])
    assert result.output == "The sum is 7."


@pytest.mark.parametrize("way", [ToolOutput, NativeOutput, PromptedOutput])
def test_typed_output(way):
    """A typed answer comes by a function, by a schema and by JSON mode."""
    result = run(f"[[json {BERN}]]", output_type=way(City))
    assert result.output == City(name="Bern", people=134000)


def test_second_turn():
    """An agent is given the messages of an earlier run."""
    first = run('[[tool add {"a": 3, "b": 4}]] [[result]] remember: TULIP', tools=[add])
    second = Agent(model_of(), tools=[add])
    result = second.run_sync("[[recall]]", message_history=first.all_messages())
    assert result.output == "TULIP"


@pytest.mark.parametrize("api", ["responses"], indirect=True)
def test_continued():
    """A run continues the last stored response of the messages that it is given."""
    agent = Agent(model_of(), tools=[add], model_settings={"openai_previous_response_id": "auto"})
    first = agent.run_sync('[[tool add {"a": 3, "b": 4}]] [[result]] remember: TULIP')
    assert first.output == "The sum is 7."
    history = first.all_messages()
    assert agent.run_sync("[[recall]]", message_history=history).output == "TULIP"
