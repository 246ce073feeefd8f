"""Microsoft's AutoGen: an agent's reflection, and the teams Swarm and SelectorGroupChat."""

import asyncio
import os

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination, SourceMatchTermination
from autogen_agentchat.teams import SelectorGroupChat, Swarm
from autogen_ext.models.openai import OpenAIChatCompletionClient

INFO = {
    "family": "gpt-4o",  # as people write who use another model
    "function_calling": True,
    "json_output": True,
    "multiple_system_messages": True,
    "structured_output": True,
    "vision": False,
}


def add(a: int, b: int) -> str:
    """Add two numbers."""
    return f"The sum is {a + b}."


def run(build, task):
    """Return the messages of a run of what *build* makes of a model client."""

    async def go():
        client = OpenAIChatCompletionClient(
            model=os.environ["CLIENT_MODEL"],
            base_url=os.environ["OPENAI_BASE_URL"],  # else it asks Anthropic for a claude model
            model_info=INFO,
            max_retries=0,
        )
        try:
            result = await build(client).run(task=task)
        finally:
            await client.close()
        return [(message.source, message.content) for message in result.messages]

    return asyncio.run(go())


@pytest.mark.parametrize("streamed", [False, True])
def test_reflection(streamed):
    """The model sums up what its function returned, in a request that offers no functions."""

    def build(client):
        return AssistantAgent(
            "adder", client, tools=[add], reflect_on_tool_use=True, model_client_stream=streamed
        )

    messages = run(build, '[[tool add {"a": 3, "b": 4}]] [[result]]')
    assert messages[-1] == ("adder", "The sum is 7.")


def test_swarm():
    """One agent hands over to another, which goes on with the conversation."""

    def build(client):
        alice = AssistantAgent("alice", client, handoffs=["bob"])
        bob = AssistantAgent("bob", client)
        return Swarm([alice, bob], termination_condition=SourceMatchTermination(["bob"]))

    messages = run(build, "[[tool transfer_to_bob {}]]")
    assert [source for source, _ in messages] == ["user", "alice", "alice", "alice", "bob"]


def test_swarm_goes_on_from_an_answer():
    """An agent that has answered is asked again, with its own answer as the last message."""

    def build(client):
        alice = AssistantAgent("alice", client)
        return Swarm([alice], termination_condition=MaxMessageTermination(3))

    messages = run(build, "[[say Good day.]]")
    assert [source for source, _ in messages] == ["user", "alice", "alice"]


def test_selector():
    """The model chooses who speaks next, asked by system messages alone."""

    def build(client):
        speakers = [AssistantAgent(name, client, description=name) for name in ("alice", "bob")]
        prompt = "[[say bob]] {roles} {participants} {history}"
        ends = MaxMessageTermination(2)
        return SelectorGroupChat(
            speakers, client, selector_prompt=prompt, termination_condition=ends
        )

    messages = run(build, "Good day.")
    assert [source for source, _ in messages] == ["user", "bob"]
