"""The lifecycle of messages with a UUID: which Claude Code is not done with."""

import pytest

from wrapper.services.claude.protocol.command_lifecycle import TYPE, CommandLifecycle


def report(state, uuid="a"):
    return {"type": TYPE, "command_uuid": uuid, "state": state}


@pytest.mark.parametrize("state", ["queued", "started"])
def test_open(state):
    """A message is open from the time that it is queued until it is done."""
    commands = CommandLifecycle()
    assert not commands.is_open
    commands.follow(report(state))
    assert commands.is_open
    commands.follow(report("completed"))
    assert not commands.is_open


def test_several():
    """As long as one of several messages is not done, there is an open one."""
    commands = CommandLifecycle()
    commands.follow(report("started", "a"))
    commands.follow(report("queued", "b"))
    commands.follow(report("completed", "a"))
    assert commands.is_open


def test_unknown():
    """The end of a message of which nothing was heard changes nothing."""
    commands = CommandLifecycle()
    commands.follow(report("completed"))
    assert not commands.is_open
