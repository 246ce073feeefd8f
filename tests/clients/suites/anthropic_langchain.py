"""LangChain's ChatAnthropic."""

import asyncio
import os

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

MODEL = os.environ["CLIENT_MODEL"]
THINKS = os.environ["CLIENT_THINKS"]


class City(BaseModel):
    """A city."""

    name: str
    people: int


@tool
def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"Sunny in {city}."


@pytest.fixture
def model():
    return ChatAnthropic(model=MODEL, max_tokens=2000, max_retries=0)


def test_invoke(model):
    """An answer has its text and its tokens."""
    answer = model.invoke("[[say Good day.]]")
    assert answer.text == "Good day."
    assert answer.usage_metadata["output_tokens"] == 2


def test_stream(model):
    """A stream comes in chunks, also asynchronously."""
    assert "".join(chunk.text for chunk in model.stream("[[deltas 4]]")) == "w1 w2 w3 w4"

    async def ask():
        return "".join([chunk.text async for chunk in model.astream("[[deltas 4]]")])

    assert asyncio.run(ask()) == "w1 w2 w3 w4"


def test_tools_and_thinking():
    """A tool loop ends with the tool's result, and the thinking goes back as it came."""
    thinking = {"type": "adaptive"}
    model = ChatAnthropic(model=THINKS, max_tokens=4000, max_retries=0, thinking=thinking)
    bound = model.bind_tools([get_weather])
    text = '[[think Let me see.]] [[tool get_weather {"city": "Bern"}]] [[result]]'
    question = HumanMessage(text)
    first = bound.invoke([question])
    (call,) = first.tool_calls
    assert (call["name"], call["args"]) == ("get_weather", {"city": "Bern"})
    result = ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])
    assert bound.invoke([question, first, result]).text == "Sunny in Bern."


@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
def test_structured_output(model, method):
    """A structured answer fits its schema."""
    shaped = model.with_structured_output(City, method=method)
    answer = shaped.invoke('[[json {"name": "Bern", "people": 134000}]]')
    assert answer == City(name="Bern", people=134000)


def test_error(model):
    """An error of the API is raised as the library's own."""
    with pytest.raises(Exception, match="overloaded_error"):
        model.invoke("[[error 529]]")
