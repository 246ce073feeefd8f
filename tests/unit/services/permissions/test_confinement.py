"""The confinement: which settings hold commands, and what a turn may do where none does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from wrapper.errors import PermissionDenied
from wrapper.services.permissions.confinement import (
    EDITS,
    Confinement,
    confine,
    confinement,
    initial_mode,
    mistakes,
)
from wrapper.services.turn import Message, Permissions, Turn
from wrapper.settings import PERMISSION_MODES, Settings

AGENT = Turn("m", (Message("user", ("hello",)),), profile="agent")
SETTINGS = ("CLAUDE_SANDBOX=true", "CLAUDE_USER", "ALLOW_UNSANDBOXED_BASH=true")
HELD = ({"claude_sandbox": True}, {"claude_user": "x"}, {"allow_unsandboxed_bash": True})


def permissions(given: Permissions = Permissions(), **settings) -> Permissions:  # noqa: B008
    return confine(replace(AGENT, permissions=given), Settings(**settings)).permissions


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({}, Confinement.READ_ONLY),
        ({"claude_tools": ("Read", "Bash")}, Confinement.READ_ONLY),
        ({"claude_tools": ("default",)}, Confinement.READ_ONLY),
        ({"claude_tools": ("Read", "Write")}, Confinement.NO_COMMANDS),
        ({"claude_tools": (), "claude_sandbox": True}, Confinement.NO_COMMANDS),
        ({"claude_sandbox": True, "claude_user": "x"}, Confinement.SANDBOX),
        ({"claude_user": "x", "allow_unsandboxed_bash": True}, Confinement.USER),
        ({"allow_unsandboxed_bash": True}, Confinement.OPEN),
    ],
)
def test_what_is_in_force(settings, kind):
    """Nothing set means commands that read; of several settings the closest is in force."""
    assert confinement(Settings(**settings)) is kind


@pytest.mark.parametrize("mode", PERMISSION_MODES)
def test_first_mode(mode):
    """A process begins in a mode that asks before commands run, unless they are confined."""
    asks = mode in ("default", "plan")
    assert initial_mode(Settings(claude_permission_mode=mode)) == (mode if asks else "default")
    for held in HELD:
        assert initial_mode(Settings(claude_permission_mode=mode, **held)) == mode


@pytest.mark.parametrize(
    ("mode", "edits"),
    [
        (None, EDITS),
        ("acceptEdits", EDITS),
        ("default", ()),
        ("dontAsk", ()),
        ("plan", ()),
        ("bypassPermissions", ()),
    ],
)
def test_modes_of_a_turn(mode, edits):
    """Where edits are accepted they are by a rule, and a turn's mode asks before commands."""
    found = permissions(Permissions(mode=mode, allow=("Read(/srv/**)",), deny=("WebFetch",)))
    assert found.allow == ("Read(/srv/**)", *edits)
    assert found.deny == ("WebFetch",)
    assert found.mode in (None, "default", "plan")


def test_no_edits_without_the_tools():
    """A turn that may use no tool that writes gets no rule for it, which Bash would heed."""
    without = Permissions(deny=("Write", "Edit"))
    assert permissions(without).allow == ()
    assert permissions(claude_tools=("Read", "Bash")).allow == ()


@pytest.mark.parametrize("settings", [*HELD, {"claude_tools": ("Read", "Write")}])
def test_held_turns_are_left_alone(settings):
    """Where commands are held, or none can be run, a turn keeps what it has."""
    given = Permissions(mode="acceptEdits", allow=("Bash",))
    assert permissions(given, **settings) == given


def test_plain_turns_are_left_alone():
    """A turn without tools keeps what it has."""
    plain = replace(AGENT, profile="plain")
    assert confine(plain, Settings()) is plain


@pytest.mark.parametrize("rule", ["Bash", "Bash(git:*)", "Monitor"])
def test_rules_of_an_app(rule):
    """A rule that an app's own principal brings is refused where nothing holds what it runs."""
    with pytest.raises(PermissionDenied) as caught:
        permissions(Permissions(allow=("Read", rule)))
    assert all(name in caught.value.message for name in (*SETTINGS, rule))


@pytest.mark.parametrize(
    "settings",
    [
        {"claude_allowed_tools": "Read, Bash(git:*)"},
        {"claude_permission_mode": "bypassPermissions", "allow_bypass": True},
        {"claude_setting_sources": "user"},
    ],
)
def test_mistakes(settings):
    """What would run commands that nothing holds is a mistake, told with each mend."""
    (told,) = mistakes(Settings(**settings))
    assert told.startswith(next(iter(settings)).upper() + ": ")
    assert all(name in told for name in SETTINGS)
    for held in (*HELD, {"claude_tools": ("Read", "Write")}):
        assert mistakes(Settings(**settings, **held)) == []


def test_other_rules_are_no_mistake():
    """Rules for file tools need no setting."""
    assert mistakes(Settings(claude_allowed_tools="Read(/srv/**), Edit, Bashful")) == []
