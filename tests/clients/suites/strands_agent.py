"""Strands, which demands a call of its output's form where the model has answered in words."""

import os

from pydantic import BaseModel
from strands import Agent, tool
from strands.models.openai import OpenAIModel


class City(BaseModel):
    """A city."""

    name: str
    people: int


@tool
def add(a: int, b: int) -> str:
    """Add two numbers."""
    return f"The sum is {a + b}."


def agent(*tools):
    """Return an agent whose model cannot be forced to call anything."""
    options = {"base_url": os.environ["OPENAI_BASE_URL"], "api_key": "unused"}
    model = OpenAIModel(client_args=options, model_id=os.environ["CLIENT_THINKS"])
    return Agent(model=model, tools=list(tools), callback_handler=None)


def test_answer():
    """An agent answers."""
    assert str(agent()("[[say Good day.]]")).strip() == "Good day."


def test_tool():
    """The agent's tool runs here, and the model is told what it returned."""
    result = agent(add)('[[tool add {"a": 3, "b": 4}]] [[result]]')
    assert str(result).strip() == "The sum is 7."


def test_structured_output():
    """A model that has called the form by itself is not asked for it."""
    asked = '[[tool City {"name": "Bern", "people": 134000}]]'
    result = agent()(asked, structured_output_model=City)
    assert result.structured_output == City(name="Bern", people=134000)


def test_structured_output_after_words():
    """Where the model has answered in words Strands demands the form, and gets it."""
    result = agent()("Tell me of Bern.", structured_output_model=City)
    assert isinstance(result.structured_output, City)


def test_structured_output_beside_a_tool():
    """The form is demanded after a tool was used, too."""
    asked = '[[tool add {"a": 3, "b": 4}]] [[result]]'
    result = agent(add)(asked, structured_output_model=City)
    assert isinstance(result.structured_output, City)
