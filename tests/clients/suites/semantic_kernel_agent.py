"""Semantic Kernel, which demands calls by FunctionChoiceBehavior.Required."""

import asyncio
import os

import pytest
from openai import AsyncOpenAI
from semantic_kernel import Kernel
from semantic_kernel.connectors.ai.function_choice_behavior import FunctionChoiceBehavior
from semantic_kernel.connectors.ai.open_ai import (
    OpenAIChatCompletion,
    OpenAIChatPromptExecutionSettings,
)
from semantic_kernel.contents import ChatHistory
from semantic_kernel.functions import kernel_function

CALLED = '[[tool math-add {"a": 3, "b": 4}]] [[result]]'
LATE = f"[[later]] {CALLED}"  # until it is asked again it says "done"


class Sums:
    """Adds."""

    def __init__(self):
        self.added = []

    @kernel_function(description="Adds two numbers.")
    def add(self, a: int, b: int) -> str:
        self.added.append((a, b))
        return f"The sum is {a + b}."


def ask(prompt, behavior, *, stream=False):
    """Return what a model that cannot be forced answers, and which sums it has had added."""
    kernel, sums = Kernel(), Sums()
    kernel.add_plugin(sums, "math")
    service = OpenAIChatCompletion(
        ai_model_id=os.environ["CLIENT_THINKS"], async_client=AsyncOpenAI()
    )
    history = ChatHistory()
    history.add_user_message(prompt)
    settings = OpenAIChatPromptExecutionSettings(function_choice_behavior=behavior)

    async def go():
        if not stream:
            return str(await service.get_chat_message_content(history, settings, kernel=kernel))
        chunks = service.get_streaming_chat_message_content(history, settings, kernel=kernel)
        return "".join([str(chunk) async for chunk in chunks])

    return asyncio.run(go()), sums.added


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("prompt", [CALLED, LATE])
def test_required(prompt, stream):
    """A demanded function is called, whether the model needs to be asked again or not."""
    text, added = ask(prompt, FunctionChoiceBehavior.Required(), stream=stream)
    assert added == [(3, 4)]
    assert text == ("" if stream else "The sum is 7.")  # after a stream's calls it asks no more


@pytest.mark.parametrize("stream", [False, True])
def test_auto(stream):
    """A function that the model may call is called."""
    text, added = ask(CALLED, FunctionChoiceBehavior.Auto(), stream=stream)
    assert (text, added) == ("The sum is 7.", [(3, 4)])
