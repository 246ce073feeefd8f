"""Which settings confine commands, and what a turn may do if none does."""

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
CONFINED = ({"claude_sandbox": True}, {"claude_user": "x"}, {"allow_unsandboxed_bash": True})


def permissions(own: Permissions = Permissions(), **settings) -> Permissions:  # noqa: B008
    return confine(replace(AGENT, permissions=own), Settings(**settings)).permissions


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
    """By default only commands that read run; of several settings the strictest is in force."""
    assert confinement(Settings(**settings)) is kind


@pytest.mark.parametrize("mode", PERMISSION_MODES)
def test_initial_mode(mode):
    """A process starts in a mode that asks before commands run, unless they are confined."""
    asks = mode in ("default", "plan")
    assert initial_mode(Settings(claude_permission_mode=mode)) == (mode if asks else "default")
    for confined in CONFINED:
        expected = "default" if mode == "ask" else mode
        assert initial_mode(Settings(claude_permission_mode=mode, **confined)) == expected


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
    """A rule accepts edits if the mode does, and the turn's mode asks before commands."""
    narrowed = permissions(Permissions(mode=mode, allow=("Read(/srv/**)",), deny=("WebFetch",)))
    assert narrowed.allow == ("Read(/srv/**)", *edits)
    assert narrowed.deny == ("WebFetch",)
    assert narrowed.mode in (None, "default", "plan")


def test_no_edits_without_the_tools():
    """A turn without a tool that writes gets no rule for edits, which Bash would heed."""
    without = Permissions(deny=("Write", "Edit"))
    assert permissions(without).allow == ()
    assert permissions(claude_tools=("Read", "Bash")).allow == ()


@pytest.mark.parametrize("settings", [*CONFINED, {"claude_tools": ("Read", "Write")}])
def test_confined_turns_are_unchanged(settings):
    """If commands are confined, or cannot run, a turn keeps its permissions."""
    own = Permissions(mode="acceptEdits", allow=("Bash",))
    assert permissions(own, **settings) == own


def test_plain_turns_are_unchanged():
    """A plain turn keeps its permissions."""
    plain = replace(AGENT, profile="plain")
    assert confine(plain, Settings()) is plain


@pytest.mark.parametrize("rule", ["Bash", "Bash(git:*)", "Monitor"])
def test_rules_of_an_app(rule):
    """A rule of an app's own principal that would run unconfined commands is refused."""
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
    """A setting that would run unconfined commands is a mistake, reported with its remedies."""
    (mistake,) = mistakes(Settings(**settings))
    assert mistake.startswith(next(iter(settings)).upper() + ": ")
    assert all(name in mistake for name in SETTINGS)
    for confined in (*CONFINED, {"claude_tools": ("Read", "Write")}):
        assert mistakes(Settings(**settings, **confined)) == []


def test_other_rules_are_no_mistake():
    """Rules for file tools need no other setting."""
    assert mistakes(Settings(claude_allowed_tools="Read(/srv/**), Edit, Bashful")) == []
