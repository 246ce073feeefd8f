"""The confinement: what keeps the commands of an agent from what is not its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from enum import Enum

from wrapper.errors import PermissionDenied
from wrapper.services.permissions.rules import split_rules
from wrapper.services.turn import Permissions, Turn
from wrapper.settings import Settings

# The tools that run commands; "default" is Claude Code's word for all that it has.
SHELLS = frozenset({"Bash", "Monitor", "PowerShell", "REPL", "default"})
# The modes in which Claude Code decides on commands by itself. In `default` it asks the gateway,
# which allows what only reads, so that this is as strict as `dontAsk`.
_UNASKED = ("acceptEdits", "bypassPermissions", "dontAsk")
_WRITERS = frozenset({"Write", "Edit", "NotebookEdit", "default"})
HOW_TO_OPEN = "set CLAUDE_SANDBOX=true, CLAUDE_USER, or ALLOW_UNSANDBOXED_BASH=true"

# What acceptEdits lets file tools do. That mode itself would also run touch, rm, cp and the like.
EDITS = ("Edit(./**)",)


class Confinement(Enum):
    """What commands are held by, and what is said of that."""

    NO_COMMANDS = "no tool runs commands"
    READ_ONLY = f"a short list of commands that read (SECURITY.md); for more, {HOW_TO_OPEN}"
    SANDBOX = "in Claude Code's sandbox (CLAUDE_SANDBOX)"
    USER = "as a Unix user of its own (CLAUDE_USER)"
    OPEN = "all that the gateway's user may do (ALLOW_UNSANDBOXED_BASH)"


def confinement(settings: Settings) -> Confinement:
    """Return what is in force; of several the closest."""
    if SHELLS.isdisjoint(settings.claude_tools):
        return Confinement.NO_COMMANDS
    if settings.claude_sandbox:
        return Confinement.SANDBOX
    if settings.claude_user:
        return Confinement.USER
    return Confinement.OPEN if settings.allow_unsandboxed_bash else Confinement.READ_ONLY


def reads_only(settings: Settings) -> bool:
    """Say whether only commands run that are known to read (services.readonly)."""
    return confinement(settings) is Confinement.READ_ONLY


def initial_mode(settings: Settings) -> str:
    """Return the permission mode that an agent's process begins with."""
    mode = settings.claude_permission_mode
    return "default" if reads_only(settings) and mode in _UNASKED else mode


def confine(turn: Turn, settings: Settings) -> Turn:
    """Return *turn* with the permissions that it has where commands only read.

    Raises PermissionDenied where its rules would run others: those of an app that says itself who
    calls are not known before.
    """
    if turn.profile != "agent" or not reads_only(settings):
        return turn
    given = turn.permissions
    if rules := rules_that_open(given.allow, settings):
        raise PermissionDenied(
            f"{', '.join(rules)[:200]} (allowed_tools) would run with all that the gateway's user "
            f"may do; its operator is to {HOW_TO_OPEN}."
        )
    edits = EDITS if _accepts_edits(given, settings) else ()
    held = replace(
        given,
        allow=(*given.allow, *edits),
        mode="default" if given.mode in _UNASKED else given.mode,
    )
    return replace(turn, permissions=held)


def _accepts_edits(given: Permissions, settings: Settings) -> bool:
    mode = given.mode or settings.claude_permission_mode
    usable = set(settings.claude_tools).difference(given.deny)
    return mode == "acceptEdits" and not _WRITERS.isdisjoint(usable)


def rules_that_open(rules: Iterable[str], settings: Settings) -> list[str]:
    """Return which *rules* that allow would run commands that nothing here holds."""
    held = not reads_only(settings)
    return [] if held else [rule for rule in rules if rule.partition("(")[0] in SHELLS]


def mistakes(settings: Settings) -> list[str]:
    """Return which settings would run commands that nothing holds, each with its mend."""
    if not reads_only(settings):
        return []
    found = []
    if rules := rules_that_open(split_rules(settings.claude_allowed_tools), settings):
        found.append(
            f"CLAUDE_ALLOWED_TOOLS: {', '.join(rules)} would run with all that the gateway's user "
            f"may do; take it out, or {HOW_TO_OPEN}"
        )
    if settings.claude_permission_mode == "bypassPermissions":
        found.append(
            "CLAUDE_PERMISSION_MODE: bypassPermissions would run any command; take Bash out of "
            f"CLAUDE_TOOLS, or {HOW_TO_OPEN}"
        )
    if settings.claude_setting_sources:
        found.append(
            "CLAUDE_SETTING_SOURCES: settings files can allow any command; take Bash out of "
            f"CLAUDE_TOOLS, or {HOW_TO_OPEN}"
        )
    return found
