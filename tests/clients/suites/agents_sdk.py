"""The OpenAI Agents SDK: through responses, its default, and through chat completions."""

import asyncio
import os

import agents
import openai
import pytest
from pydantic import BaseModel

agents.set_tracing_disabled(True)


@agents.function_tool
def add(a: int, b: int) -> str:
    """Add two numbers."""
    return f"The sum is {a + b}."


class Sum(BaseModel):
    """An answer with parts."""

    parts: list[int]
    total: int


APIS = {"responses": agents.OpenAIResponsesModel, "chat": agents.OpenAIChatCompletionsModel}


@pytest.fixture(params=APIS, autouse=True)
def api(request, monkeypatch):
    """Let the agents of a test use each API in turn."""
    monkeypatch.setenv("CLIENT_API", request.param)


def model_of(client):
    return APIS[os.environ["CLIENT_API"]](os.environ["CLIENT_MODEL"], client)


def run(prompt, streamed=False, **more):
    """Return the result of an agent's run, which ends with its client closed."""

    async def go():
        async with openai.AsyncOpenAI(max_retries=0) as client:
            model = model_of(client)
            agent = agents.Agent("Adder", instructions="Add.", model=model, **more)
            if not streamed:
                return await agents.Runner.run(agent, prompt)
            result = agents.Runner.run_streamed(agent, prompt)
            async for _ in result.stream_events():
                pass
            return result

    return asyncio.run(go())


BOTH = pytest.mark.parametrize("streamed", [False, True])


@BOTH
def test_answer(streamed):
    """An agent without functions answers."""
    assert run("[[say Good day.]]", streamed).final_output == "Good day."


@BOTH
def test_function(streamed):
    """The agent's function runs here, and the model is told what it returned."""
    result = run('[[tool add {"a": 3, "b": 4}]] [[result]]', streamed, tools=[add])
    assert result.final_output == "The sum is 7."


@pytest.mark.parametrize("api", ["responses"], indirect=True)
def test_background():
    """Each turn of a streamed run is made in the background."""
    settings = agents.ModelSettings(extra_args={"background": True})
    asked = '[[tool add {"a": 3, "b": 4}]] [[result]]'
    result = run(asked, streamed=True, tools=[add], model_settings=settings)
    assert result.final_output == "The sum is 7."


def test_two_functions_in_turn():
    """A run goes through as many rounds as the model asks for."""
    asked = '[[tool add {"a": 1, "b": 1}]] [[tool add {"a": 2, "b": 3}]] [[result]]'
    result = run(asked, tools=[add])
    assert result.final_output == "The sum is 5."
    assert len(result.raw_responses) == 3


@BOTH
def test_structured_output(streamed):
    """An agent's answer is checked against its type."""
    result = run('[[json {"parts": [3, 4], "total": 7}]]', streamed, output_type=Sum)
    assert result.final_output == Sum(parts=[3, 4], total=7)


def test_handoff():
    """An agent hands over to another one, by a function of the SDK's own."""
    other = agents.Agent("Other", instructions="Help.")

    async def go():
        async with openai.AsyncOpenAI(max_retries=0) as client:
            model = model_of(client)
            first = agents.Agent("First", model=model, handoffs=[other.clone(model=model)])
            asked = "[[tool transfer_to_other {}]] [[say I am the other.]]"
            return await agents.Runner.run(first, asked)

    result = asyncio.run(go())
    assert (result.last_agent.name, result.final_output) == ("Other", "I am the other.")


def test_session():
    """A session of the SDK sends the earlier turns again."""

    async def go():
        async with openai.AsyncOpenAI(max_retries=0) as client:
            agent = agents.Agent("Adder", model=model_of(client), tools=[add])
            session = agents.SQLiteSession("one")
            asked = '[[tool add {"a": 3, "b": 4}]] [[result]] remember: TULIP'
            await agents.Runner.run(agent, asked, session=session)
            return await agents.Runner.run(agent, "[[recall]]", session=session)

    assert asyncio.run(go()).final_output == "TULIP"


@pytest.mark.parametrize("api", ["responses"], indirect=True)
def test_continued():
    """The agent continues its stored responses, and sends nothing again."""

    async def go():
        async with openai.AsyncOpenAI(max_retries=0) as client:
            agent = agents.Agent("Adder", model=model_of(client), tools=[add])
            asked = '[[tool add {"a": 3, "b": 4}]] [[result]] remember: TULIP'
            first = await agents.Runner.run(agent, asked, auto_previous_response_id=True)
            assert first.final_output == "The sum is 7."
            last = first.last_response_id
            return await agents.Runner.run(agent, "[[recall]]", previous_response_id=last)

    assert asyncio.run(go()).final_output == "TULIP"
