"""LangGraph's ready-made agent, and conversations as LangGraph keeps them."""

import operator
import os
import warnings

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it is deprecated, and many programs still use it
    from langgraph.prebuilt import create_react_agent


@tool
def add(a: int, b: int) -> str:
    """Add two numbers."""
    return f"The sum is {operator.add(a, b)}."


class Sum(BaseModel):
    """An answer with parts."""

    parts: list[int]
    total: int


SUM = '[[json {"parts": [3, 4], "total": 7}]]'
CALL = '[[tool add {"a": 3, "b": 4}]]'


def model():
    return ChatOpenAI(model=os.environ["CLIENT_MODEL"], max_retries=0)


def ask(agent, prompt):
    return agent.invoke({"messages": [("user", prompt)]})


@pytest.mark.filterwarnings("ignore")
def test_react_agent_in_a_shape():
    """Once the agent has answered, its own answer is the last message of one more request."""
    agent = create_react_agent(model(), [add], response_format=Sum)
    result = ask(agent, f"{CALL} {SUM}")
    assert result["structured_response"] == Sum(parts=[3, 4], total=7)


@pytest.mark.filterwarnings("ignore")
def test_react_agent():
    """The agent's function runs here, and the model is told what it returned."""
    result = ask(create_react_agent(model(), [add]), f"{CALL} [[result]]")
    assert result["messages"][-1].content == "The sum is 7."


def test_greeting_first():
    """A conversation may begin with the assistant."""
    messages = [AIMessage("Hello, I am Claude."), ("user", "[[say Good day.]]")]
    assert model().invoke(messages).content == "Good day."
