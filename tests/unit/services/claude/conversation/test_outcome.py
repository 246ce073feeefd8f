"""What a process keeps after a turn, and when no other turn may run on it."""

from dataclasses import replace
from typing import Any

import pytest

from wrapper.services.claude.conversation.outcome import Outcome
from wrapper.services.claude.processes.state import ProcessState
from wrapper.services.events import Ended, Ending, TextDelta, ToolUse
from wrapper.services.spent import Usage
from wrapper.services.turn import Message, OutputSchema, Permissions, SessionKey, Turn

pytestmark = pytest.mark.packages

USER = Message("user", ("c",))
TURN = Turn("sonnet", (USER,), session=SessionKey("local", "s", "a1"))
SETTINGS = ProcessState(settings=({"a": 1},))
RESULT: dict[str, Any] = {"type": "result"}


def state_after(turn=TURN, ending: Ending | None = Ending.DONE, texts=("d",), **fields):
    """Return what is kept after the events of a turn."""
    outcome = Outcome(turn, SETTINGS)
    for text in texts:
        outcome.note(TextDelta(text))
    if fields.pop("used_tools", False):
        outcome.note(ToolUse("Read", "{}"))
    if ending:
        outcome.note(Ended(ending, Usage(), None))
    return outcome.state(**{"result": RESULT, "interrupted": False, **fields})


def test_everything_is_kept():
    """Settings and the result stay for the next turn, which subtracts its usage."""
    known = (USER, Message("assistant", ("d",)))
    assert state_after() == ProcessState(known, ({"a": 1},), RESULT, turns=1)


@pytest.mark.parametrize("texts", [("d",), ("", "d"), ("d", "")])
def test_an_agent_knows_its_answer(texts):
    """After a turn an agent knows the conversation and its own answer."""
    assert state_after(texts=texts).known == (USER, Message("assistant", ("d",)))


@pytest.mark.parametrize("texts", [(), ("",), (" ", "\n")])
def test_a_blank_answer(texts):
    """A blank answer is none, as in what sessions store."""
    assert state_after(texts=texts).known == (USER,)


@pytest.mark.parametrize("ending", list(Ending), ids=str)
def test_an_agent_that_did_not_finish(ending):
    """An agent's process runs another turn only if the model ended its answer by itself."""
    assert (state_after(ending=ending) is not None) == (ending is Ending.DONE)


def test_plan_mode():
    """An agent that was in plan mode would remember that, which no session stores."""
    assert state_after(replace(TURN, permissions=Permissions(mode="plan"))) is None


@pytest.mark.parametrize(("text", "kept"), [('{"n": 1}', True), ('{"n": 1e400}', False)])
def test_numbers_that_claude_code_changes(text, kept):
    """An agent whose answer has numbers that Claude Code reads as others is not used again."""
    turn = replace(TURN, output_schema=OutputSchema("s", {"type": "object"}))
    assert (state_after(turn, texts=(text,)) is not None) is kept


@pytest.mark.parametrize("ending", [Ending.DONE, Ending.LENGTH, Ending.CALLS])
def test_plain_knows_nothing(ending):
    """A plain turn brings its whole conversation, so the process needs to know none of it."""
    assert state_after(replace(TURN, profile="plain"), ending).known == ()


@pytest.mark.parametrize("profile", ["agent", "plain"])
@pytest.mark.parametrize("fields", [{"ending": None}, {"interrupted": True}, {"result": None}])
def test_a_turn_that_was_broken_off(profile, fields):
    """A process whose turn did not end, was interrupted or gave no result is not used again."""
    assert state_after(replace(TURN, profile=profile), **fields) is None


@pytest.mark.parametrize("session", [None, TURN.session])
def test_a_process_that_used_tools(session):
    """Without a session, a process that used tools knows more than its client."""
    kept = state_after(replace(TURN, session=session), used_tools=True)
    assert (kept is not None) is (session is not None)
