"""smolagents, which demands a call in each step: of a tool, or of the one for the final answer."""

import os

import pytest
from smolagents import OpenAIServerModel, ToolCallingAgent, tool

FINAL = '[[tool final_answer {"answer": "The sum is 7."}]]'


@tool
def add(a: int, b: int) -> str:
    """Add two numbers.

    Args:
        a: One of them.
        b: The other one.
    """
    # Observations are messages of the user's, so that this is what the model is asked next.
    return f"The sum is {a + b}. {FINAL}"


@tool
def add_slowly(a: int, b: int) -> str:
    """Add two numbers, so that the model talks before it answers.

    Args:
        a: One of them.
        b: The other one.
    """
    return f"The sum is {a + b}. {FINAL} [[say Let me see.]] [[later]]"


def agent(*tools, **options):
    """Return an agent whose model cannot be forced to call anything."""
    url = os.environ["OPENAI_BASE_URL"]
    model = OpenAIServerModel(os.environ["CLIENT_THINKS"], api_base=url, api_key="unused")
    return ToolCallingAgent(list(tools), model, max_steps=2, verbosity_level=0, **options)


@pytest.mark.parametrize("stream", [False, True])
def test_calls(stream):
    """A model that calls in each step gets to the answer."""
    task = '[[tool add {"a": 3, "b": 4}]]'
    assert agent(add, stream_outputs=stream).run(task) == "The sum is 7."


@pytest.mark.parametrize("stream", [False, True])
def test_words_before_calls(stream):
    """One that talks in place of calling gets there in as many steps: it was asked once more."""
    task = '[[say First I think.]] [[later]] [[tool add_slowly {"a": 3, "b": 4}]]'
    ran = agent(add_slowly, stream_outputs=stream)
    assert ran.run(task) == "The sum is 7."
    assert not [step for step in ran.memory.steps if getattr(step, "error", None)]
