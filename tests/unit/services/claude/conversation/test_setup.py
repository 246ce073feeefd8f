"""What a process is sent when a turn begins."""

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from wrapper.services.claude.additions import Additions
from wrapper.services.claude.conversation.setup import Setup, set_up
from wrapper.services.claude.processes.leasing import Lease
from wrapper.services.claude.processes.parking import ParkedProcess
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.qualification import Qualification
from wrapper.services.claude.processes.state import ProcessState
from wrapper.services.turn import Message, Permissions, Sampling, SessionKey, Turn

pytestmark = pytest.mark.packages

KEY = SessionKey("local", "s", "a1")
EARLIER = (Message("user", ("a",)), Message("assistant", ("b",)))
TURN = Turn("sonnet", (*EARLIER, Message("user", ("c",))), session=KEY)


def lease_of(state: ProcessState | None = None, mode="default", results=None, **fields) -> Lease:
    """Return a lease of a fresh process, or of one that has this *state*.

    *results* are those of its checks.
    """
    profile = SimpleNamespace(mode=mode, reads_only=False, first_party=True, additions=Additions())
    fake = SimpleNamespace(
        profile=profile, directory="/", initialized=False, qualification=Qualification(results)
    )
    process = cast(Process, fake)
    parked = ParkedProcess(KEY, process, (), state) if state else None
    return Lease(process, parked=parked, **fields)


def requests(setup: Setup):
    return [frame["request"]["subtype"] for frame in setup.requests]


def texts(setup: Setup):
    return [frame["message"]["content"][0]["text"] for frame, _ in setup.history]


def test_a_fresh_process():
    """A fresh process gets an initialize request and the whole history."""
    setup = set_up(lease_of(), TURN)
    assert requests(setup)[0] == "initialize"
    assert texts(setup) == ["a", "b"]


@pytest.mark.parametrize(("known", "rest"), [(EARLIER, []), (EARLIER[:1], ["b"])])
def test_a_process_that_had_a_turn(known, rest):
    """A process that had a turn gets no initialize request, and only messages that it lacks."""
    setup = set_up(lease_of(ProcessState(known)), TURN)
    assert "initialize" not in requests(setup)
    assert texts(setup) == rest


@pytest.mark.parametrize("asked", [None, "plan"])
@pytest.mark.parametrize("initial", ["default", "acceptEdits"])
def test_the_mode_never_sticks(asked, initial):
    """A process that had a turn gets the mode that is asked for, or else its initial one."""
    turn = replace(TURN, permissions=Permissions(mode=asked))
    first = set_up(lease_of(ProcessState(EARLIER), initial), turn).requests[0]
    assert first["request"] == {"subtype": "set_permission_mode", "mode": asked or initial}


def test_only_other_settings_are_sent_again():
    """A process that had a turn gets only those settings that differ from the last turn's."""
    other = replace(TURN, sampling=Sampling(max_tokens=5000))
    state = set_up(lease_of(), TURN).state
    for turn, changed in ((TURN, False), (other, True), (TURN, True)):
        setup = set_up(lease_of(state), turn)
        expected = ["set_permission_mode", *(["apply_flag_settings"] if changed else [])]
        assert requests(setup) == expected
        state = setup.state


@pytest.mark.parametrize(
    ("results", "quick"),
    [({"local-commands": ""}, True), ({"local-commands": "It is changed."}, False), ({}, False)],
    ids=["passes", "fails", "not over"],
)
def test_history_as_local_commands(results, quick):
    """Earlier texts are sent quickly to a Claude Code that has passed the check of that."""
    turn = replace(TURN, messages=(*EARLIER, *EARLIER, TURN.messages[-1]))
    _, _, (frame, answered), _ = set_up(lease_of(results=results), turn).history
    assert ("local_command_source" in frame, answered) == (quick, not quick)
