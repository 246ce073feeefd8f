"""The answer: what a turn's events add up to, and the message that is sent back."""

import pytest

from wrapper.errors import BadAnswer
from wrapper.services.events import (
    CallDelta,
    CallStarted,
    Compacted,
    Ended,
    Ending,
    ReasoningDelta,
    RedactedThought,
    Started,
    TextDelta,
    Thought,
    ToolUse,
    Unfit,
    Used,
)
from wrapper.services.messages.answer import Answer
from wrapper.services.messages.message import ChatMessage
from wrapper.services.spent import Usage
from wrapper.services.turn import Message, RedactedThinking, Thinking, ToolCall

USAGE = Usage(input=10, output=4)
CALLED = (
    CallStarted(0, "call_1", "f"),
    CallDelta(0, '{"a"'),
    CallStarted(1, "call_2", "g"),
    CallDelta(0, ": 1}"),
    CallDelta(1, "{}"),
)


def ended(ending=Ending.DONE):
    return Ended(ending, USAGE, 0.25)


def gathered(*events):
    answer = Answer()
    for event in events:
        answer.add(event)
    return answer


def message(*events, legacy=False):
    return gathered(Started("m"), *events).message(legacy=legacy)


def test_nothing_yet():
    """An answer without events has no text, no call and no end."""
    answer = Answer()
    assert (answer.text, answer.calls, answer.ended, answer.resumed) == ("", [], None, False)


def test_gathered():
    """Texts are joined, and model, resumption and end are recorded."""
    answer = gathered(Started("m", True), TextDelta("Good "), TextDelta("day."), ended())
    assert (answer.model, answer.resumed) == ("m", True)
    assert (answer.text, answer.ended) == ("Good day.", ended())


def test_compacted():
    """The summary of a compacted conversation is recorded."""
    summary = (Message("user", ("In short",)),)
    assert gathered(Started("m")).compacted is None
    assert gathered(Compacted(summary), Started("m"), ended()).compacted == summary


@pytest.mark.parametrize("ending", [Ending.DONE, Ending.LENGTH])
def test_text_is_sent_back(ending):
    """A text becomes the assistant's message, even if it was cut at its limit."""
    assert message(TextDelta("Hi"), ended(ending)) == ChatMessage("assistant", ("Hi",))


def test_only_what_was_said_is_sent_back():
    """Reasoning and tool use are not part of the message."""
    aside = (ReasoningDelta("Hm"), ToolUse("Bash", "{}"), Used({}))
    assert message(*aside, TextDelta("Hi"), ended()).parts == ("Hi",)


def test_an_empty_answer_is_sent_back():
    """An answer without text is a message with an empty text."""
    assert message(ended()) == ChatMessage("assistant", ("",))
    assert message(TextDelta(""), ended()) == ChatMessage("assistant", ("",))


def test_calls_are_sent_back():
    """Calls follow the text, each with its id, its name and all of its arguments."""
    calls = (ToolCall("call_1", "f", '{"a": 1}'), ToolCall("call_2", "g", "{}"))
    assert message(*CALLED, ended(Ending.CALLS)).parts == calls
    assert message(TextDelta("Well."), *CALLED, ended(Ending.CALLS)).parts == ("Well.", *calls)


THOUGHTS = (Thought("Hm", "s1", "p"), RedactedThought("d", "p"))
THINKING = (Thinking("Hm", "s1", "p"), RedactedThinking("d", "p"))


def test_thinking_is_sent_back_with_calls():
    """Thinking, texts and calls keep their order, since signatures depend on it."""
    events = (*THOUGHTS, TextDelta("We"), TextDelta("ll."), Thought("", "s2"), *CALLED)
    calls = (ToolCall("call_1", "f", '{"a": 1}'), ToolCall("call_2", "g", "{}"))
    parts = (*THINKING, "Well.", Thinking("", "s2"), *calls)
    assert message(*events, ended(Ending.CALLS)).parts == parts


def test_thinking_is_not_sent_back_without_calls():
    """An answer without calls, or with unfinished ones, is sent back without its thinking."""
    assert message(*THOUGHTS, TextDelta("Hi"), ended()).parts == ("Hi",)
    cut = (*THOUGHTS, *CALLED[:2], ended(Ending.LENGTH))
    assert message(*cut) == ChatMessage("assistant", ("",))


def test_thinking_before_an_agents_own_tools():
    """What an agent thought before it used a tool of its own is not part of the message."""
    events = (*THOUGHTS, ToolUse("Bash", "{}"), Thought("", "s2"), *CALLED)
    assert message(*events, ended(Ending.CALLS)).parts[:1] == (Thinking("", "s2"),)


def test_legacy_calls_have_no_id():
    """A legacy function_call has no id in the message."""
    parts = message(CALLED[2], CallDelta(0, "{}"), ended(Ending.CALLS), legacy=True).parts
    assert parts == (ToolCall("", "g", "{}"),)


@pytest.mark.parametrize("ending", [Ending.LENGTH, Ending.DONE])
def test_unfinished_calls_are_none(ending):
    """An unfinished call is not part of the message."""
    assert message(TextDelta("Well."), *CALLED[:2], ended(ending)).parts == ("Well.",)


@pytest.mark.parametrize("arguments", ["", "{", "[]", "null", '{"a": NaN}', r'{"a": "\ud800"}'])
def test_odd_arguments(arguments):
    """The message has any arguments just as the model wrote them."""
    events = (CallStarted(0, "c", "f"), CallDelta(0, arguments), ended(Ending.CALLS))
    assert message(*events).parts == (ToolCall("c", "f", arguments),)


def test_unfit():
    """An answer that cannot be used raises its error when the turn ends, and not before."""
    answer = gathered(
        Started("m"), TextDelta("one"), Unfit(BadAnswer("It is no number.", retry=False))
    )
    with pytest.raises(BadAnswer, match="no number") as caught:
        answer.add(ended())
    assert (caught.value.retry, answer.ended) == (False, ended())
