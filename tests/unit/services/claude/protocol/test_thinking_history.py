"""Thinking in the history: which blocks the model's API gets back."""

from dataclasses import replace

import pytest

from wrapper.services.claude.protocol.content_blocks import blocks_of
from wrapper.services.claude.protocol.thinking_history import (
    prefix_of,
    with_valid_thinking,
    without_thinking,
)
from wrapper.services.turn import (
    THINKING,
    Function,
    Message,
    RedactedThinking,
    Sampling,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)

THINKS = Sampling(effort="low")
FUNCTIONS = (Function("f", {"type": "object"}),)
ASKED = Turn(
    "sonnet",
    (Message("user", ("Hi",)),),
    profile="plain",
    sampling=THINKS,
    functions=FUNCTIONS,
    thinking="always",
)
CALL = ToolCall("c", "f", "{}")
RESULT = Message("user", (ToolResult("c", ("1",)),))


def loop(asked=ASKED, prefix=None, **changes):
    """Return the next turn of the loop that the answer to *asked* began, with *changes*."""
    prefix = prefix_of(asked) if prefix is None else prefix
    answer = (Thinking("Hm.", "signed", prefix), RedactedThinking("hidden", prefix), CALL)
    messages = (*asked.messages, Message("assistant", answer), RESULT)
    return replace(asked, messages=messages, **changes)


def kept(turn):
    """Return the thinking blocks that go to the API."""
    messages = with_valid_thinking(turn).messages
    return [part for message in messages for part in message.parts if isinstance(part, THINKING)]


@pytest.mark.parametrize("mode", ["budget", "adaptive", "always"])
def test_a_loop(mode):
    """The blocks of a loop stay as they are, whatever the model's mode."""
    turn = loop(replace(ASKED, thinking=mode))
    assert with_valid_thinking(turn) is turn
    assert blocks_of(turn.messages[1])[:2] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "signed"},
        {"type": "redacted_thinking", "data": "hidden"},
    ]


CHANGES = {
    "model": lambda turn: replace(turn, model="haiku"),
    "system": lambda turn: replace(turn, system="Be brief."),
    "functions": lambda turn: replace(turn, functions=()),
    "messages": lambda turn: replace(
        turn, messages=(Message("user", ("Bye",)), *turn.messages[1:])
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_prefix(change):
    """A block that came after another prefix is left out, but a model with a budget takes it."""
    changed = CHANGES[change]
    assert not kept(changed(loop()))
    budget = replace(ASKED, thinking="budget")
    assert bool(kept(changed(loop(budget)))) == (change != "model")


def test_another_choice():
    """What is not part of the prefix may change."""
    changes = {"tool_choice": ToolChoice(parallel=False), "sampling": Sampling(100, effort="high")}
    assert len(kept(replace(loop(), **changes))) == 2


def test_later_blocks():
    """A later block counts those before it, so that a loop keeps all of its thinking."""
    second = loop(loop())
    assert len(kept(second)) == 4
    first = second.messages[1]
    messages = (second.messages[0], replace(first, parts=(CALL,)), *second.messages[2:])
    assert not kept(replace(second, messages=messages))


@pytest.mark.parametrize(("mode", "count"), [("budget", 0), ("adaptive", 0), ("always", 2)])
@pytest.mark.parametrize("sampling", [Sampling(), Sampling(effort="none"), Sampling(900)])
def test_a_turn_that_does_not_think(mode, count, sampling):
    """Without thinking the API takes no blocks; some models always think."""
    turn = loop(replace(ASKED, thinking=mode), sampling=sampling)
    assert len(kept(turn)) == count


@pytest.mark.parametrize(
    ("mode", "effort"), [("budget", "none"), ("adaptive", "low"), ("always", "low")]
)
def test_lost_thinking(mode, effort):
    """In a loop that lost its thinking a model with a budget cannot think."""
    turn = loop(replace(ASKED, thinking=mode), prefix="another")
    assert with_valid_thinking(turn).sampling.effort == effort
    bare = replace(turn, messages=without_thinking(turn.messages))
    assert with_valid_thinking(bare).sampling.effort == effort


def test_lost_in_an_earlier_loop():
    """A loop that has ended does not matter."""
    turn = loop(replace(ASKED, thinking="budget"), prefix="another")
    ended = (Message("assistant", ("1.",)), Message("user", ("And now?",)))
    later = replace(turn, messages=(*turn.messages, *ended))
    assert with_valid_thinking(later).sampling.effort == "low"


def test_an_agent():
    """Claude Code takes no thinking in the history of an agent."""
    turn = loop(replace(ASKED, profile="agent", thinking="budget"))
    assert prefix_of(turn) == ""
    assert not kept(turn)
    assert with_valid_thinking(turn).sampling.effort == "none"


def test_no_thinking():
    """A turn without thinking blocks and without a loop is not changed."""
    assert with_valid_thinking(ASKED) is ASKED
