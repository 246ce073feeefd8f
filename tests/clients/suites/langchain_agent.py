"""LangChain's create_agent, which demands a call of its answer's form."""

import os

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

CALLED = '[[tool City {"name": "Bern", "people": 134000}]]'
LATE = f"[[say Bern is a city.]] [[later]] {CALLED}"


class City(BaseModel):
    """A city."""

    name: str
    people: int


BERN = City(name="Bern", people=134000)


def add(a: int, b: int) -> str:
    """Add two numbers."""
    return f"The sum is {a + b}."


@pytest.fixture(params=[False, True], ids=["chat", "responses"], autouse=True)
def api(request, monkeypatch):
    """Let the model of a test use each API in turn."""
    monkeypatch.setenv("CLIENT_RESPONSES", str(request.param))


def model(**options):
    """Return a model that cannot be forced to call anything."""
    responses = os.environ["CLIENT_RESPONSES"] == "True"
    return ChatOpenAI(
        model=os.environ["CLIENT_THINKS"], api_key="unused", use_responses_api=responses, **options
    )


def run(prompt, *tools, **options):
    agent = create_agent(model(), tools=list(tools), **options)
    return agent.invoke({"messages": [{"role": "user", "content": prompt}]})


def test_tool():
    """The agent's tool runs here, and the model is told what it returned."""
    state = run('[[tool add {"a": 3, "b": 4}]] [[result]]', add)
    assert state["messages"][-1].text == "The sum is 7."


@pytest.mark.parametrize("prompt", [CALLED, LATE, "Tell me of Bern."])
@pytest.mark.parametrize("way", [ToolStrategy, lambda form: form])
def test_form(way, prompt):
    """An answer in a form comes by a call, whether the model needs to be asked again or not."""
    form = run(prompt, response_format=way(City))["structured_response"]
    assert form == BERN if "[[" in prompt else isinstance(form, City)


def test_form_by_schema():
    """An answer in a form comes by a schema, in a code fence or not."""
    asked = '[[say ```json\n{"name": "Bern", "people": 134000}\n```]]'
    assert run(asked, response_format=ProviderStrategy(City))["structured_response"] == BERN


@pytest.mark.parametrize("method", ["function_calling", "json_schema", "json_mode"])
def test_structured_output(method):
    """The model alone answers in a form, by each method."""
    asked = LATE if method == "function_calling" else CALLED.replace("tool City", "json")
    assert model().with_structured_output(City, method=method).invoke(asked) == BERN


def test_streamed_form():
    """A form is streamed, too, without the words that were taken back."""
    chunks = list(model().bind_tools([City], tool_choice="City").stream(LATE))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    (call,) = whole.tool_calls
    assert (call["args"], whole.text) == (BERN.model_dump(), "")


def turns(chat):
    """Return the text of an agent's second turn, whose first called a tool after thinking."""
    agent = create_agent(chat, tools=[add])
    asked = '[[think Hm.]] [[tool add {"a": 3, "b": 4}]] [[result]] remember: TULIP'
    first = agent.invoke({"messages": [{"role": "user", "content": asked}]})
    question = {"role": "user", "content": "[[recall]]"}
    return agent.invoke({"messages": [*first["messages"], question]})["messages"][-1].text


def test_second_turn():
    """An agent goes on with the messages of its first turn."""
    assert turns(model()) == "TULIP"


@pytest.mark.parametrize("api", [True], ids=["responses"], indirect=True)
def test_continued():
    """An agent continues its stored responses."""
    assert turns(model(use_previous_response_id=True)) == "TULIP"
