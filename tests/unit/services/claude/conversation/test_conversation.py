"""The conversation of one turn: what a process is told at its start, and knows at its end."""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from wrapper.services.claude.conversation import conversation as conversing
from wrapper.services.claude.processes.parking import ParkedProcess
from wrapper.services.claude.processes.process import Process
from wrapper.services.events import Ended, Ending, TextDelta, Usage
from wrapper.services.turn import Message, Permissions, Sampling, SessionKey, Turn

pytestmark = pytest.mark.packages

KEY = SessionKey("local", "s", "a1")
EARLIER = (Message("user", ("a",)), Message("assistant", ("b",)))
TURN = Turn("sonnet", (*EARLIER, Message("user", ("c",))), session=KEY)
RESULT = {"type": "result"}


class Wire:
    """A transport that is told what a process would be, and has a result."""

    def __init__(self, process, configuration, history, *_):
        self.requests = [frame["request"] for frame in configuration]
        self.told = [frame["message"]["content"][0]["text"] for frame, _ in history]
        self.result: dict[str, Any] | None = RESULT


@pytest.fixture(autouse=True)
def _wire(monkeypatch):
    monkeypatch.setattr(conversing, "ProcessTransport", Wire)


def process_of(mode="default"):
    profile = SimpleNamespace(mode=mode, budgeted=False, reads_only=False)
    process = SimpleNamespace(profile=profile, result=None, settings=[], pid=1, greeted=False)
    return cast(Process, process)


def begin(turn=TURN, known=None, mode="default", process=None):
    """Return the conversation of a fresh process, or of one that has gone on and has *known*."""
    process = process or process_of(mode)
    place = None if known is None else ParkedProcess(KEY, process, (), known)
    return conversing.Conversation(process, turn, None, Counter(), place)


def requests(conversation):
    return [request["subtype"] for request in conversation._transport.requests]


def told(conversation):
    return conversation._transport.told


def test_a_fresh_process():
    """A fresh process is greeted, and told all that was said before."""
    conversation = begin()
    assert requests(conversation)[0] == "initialize"
    assert told(conversation) == ["a", "b"]


def test_a_process_that_goes_on():
    """A process that goes on is not greeted again, and told only what it does not know."""
    conversation = begin(known=EARLIER)
    assert "initialize" not in requests(conversation)
    assert told(conversation) == []
    assert told(begin(known=EARLIER[:1])) == ["b"]


@pytest.mark.parametrize("asked", [None, "plan"])
@pytest.mark.parametrize("begun", ["default", "acceptEdits"])
def test_the_mode_never_sticks(asked, begun):
    """A process that goes on is told the mode that is asked for, or else the one it began with."""
    turn = replace(TURN, permissions=Permissions(mode=asked))
    first = begin(turn, EARLIER, begun)._transport.requests[0]
    assert first == {"subtype": "set_permission_mode", "mode": asked or begun}


def test_only_other_settings_are_said_again():
    """A process that goes on is told just those settings that are not the last turn's."""
    first = begin()
    same = begin(known=(), process=first.process)
    assert requests(same) == ["set_permission_mode"]
    other = replace(TURN, sampling=Sampling(max_tokens=5000))
    changed = begin(other, (), process=first.process)
    assert requests(changed) == ["set_permission_mode", "apply_flag_settings"]
    again = begin(known=(), process=first.process)
    assert requests(again) == ["set_permission_mode", "apply_flag_settings"]


def ended(turn=TURN, ending=Ending.DONE, texts=("d",)):
    conversation = begin(turn)
    for event in (*map(TextDelta, texts), Ended(ending, Usage(), None)):
        conversation._note(event)
    return conversation


@pytest.mark.parametrize("texts", [("d",), ("", "d"), ("d", "")])
def test_an_agent_knows_what_was_said(texts):
    """After a turn an agent knows the conversation and its own answer."""
    known = ended(texts=texts).knowledge()
    assert known == (*TURN.messages, Message("assistant", ("d",)))


@pytest.mark.parametrize("texts", [(), ("",), (" ", "\n")])
def test_an_agent_that_said_nothing(texts):
    """A blank answer is none, as it is in what is stored."""
    assert ended(texts=texts).knowledge() == TURN.messages


@pytest.mark.parametrize(
    ("ending", "knows"), [(one, one is Ending.DONE) for one in Ending], ids=lambda value: str(value)
)
def test_an_agent_goes_on_after_its_own_end(ending, knows):
    """An agent goes on only where the model has ended its answer by itself."""
    assert (ended(ending=ending).knowledge() is not None) == knows


def test_an_agent_that_has_planned():
    """An agent that was in plan mode would remember that it was, which nothing stored tells."""
    assert ended(replace(TURN, permissions=Permissions(mode="plan"))).knowledge() is None


@pytest.mark.parametrize("ending", [Ending.DONE, Ending.LENGTH, Ending.CALLS])
def test_plain_knows_nothing(ending):
    """In plain each turn brings the whole conversation, so that however it ended is no matter."""
    assert ended(replace(TURN, profile="plain"), ending).knowledge() == ()


@pytest.mark.parametrize("profile", ["agent", "plain"])
def test_what_cannot_go_on(profile):
    """A process that did not come to an end, was interrupted, or gave no result cannot go on."""
    turn = replace(TURN, profile=profile)
    unfinished, interrupted, mute = begin(turn), ended(turn), ended(turn)
    interrupted._interrupted = True
    mute._transport.result = None
    assert [one.knowledge() for one in (unfinished, interrupted, mute)] == [None] * 3


def test_the_result_is_kept_for_the_next_turn():
    """The numbers of a turn's end stay with the process, from which the next turn's go on."""
    assert ended().process.result == RESULT
