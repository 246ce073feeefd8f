"""How an agent's commands are confined."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from enum import Enum

from wrapper.errors import PermissionDenied
from wrapper.services.permissions.rules import split_rules
from wrapper.services.turn import Permissions, Turn
from wrapper.settings import Settings

# The tools that run commands; "default" is Claude Code's name for all its tools.
SHELLS = frozenset({"Bash", "Monitor", "PowerShell", "REPL", "default"})
# The modes in which Claude Code decides on commands by itself. In `default` it asks the gateway,
# which allows only commands that read, so that this is as strict as `dontAsk`.
_UNASKED = ("acceptEdits", "bypassPermissions", "dontAsk")
_WRITERS = frozenset({"Write", "Edit", "NotebookEdit", "default"})
HOW_TO_OPEN = "set CLAUDE_SANDBOX=true, CLAUDE_USER, or ALLOW_UNSANDBOXED_BASH=true"

# The rule for what file tools may do in acceptEdits. The mode itself would also run touch, rm, cp.
EDITS = ("Edit(./**)",)


class Confinement(Enum):
    """What confines commands, with its description."""

    NO_COMMANDS = "no tool runs commands"
    READ_ONLY = f"a short list of commands that read (SECURITY.md); for more, {HOW_TO_OPEN}"
    SANDBOX = "in Claude Code's sandbox (CLAUDE_SANDBOX)"
    USER = "as a Unix user of its own (CLAUDE_USER)"
    OPEN = "everything that the gateway's user may do (ALLOW_UNSANDBOXED_BASH)"


def confinement(settings: Settings) -> Confinement:
    """Return the confinement in force, the strictest if several are set."""
    if SHELLS.isdisjoint(settings.claude_tools):
        return Confinement.NO_COMMANDS
    if settings.claude_sandbox:
        return Confinement.SANDBOX
    if settings.claude_user:
        return Confinement.USER
    return Confinement.OPEN if settings.allow_unsandboxed_bash else Confinement.READ_ONLY


def reads_only(settings: Settings) -> bool:
    """Say whether only known read-only commands run (permissions.readonly)."""
    return confinement(settings) is Confinement.READ_ONLY


def initial_mode(settings: Settings) -> str:
    """Return the permission mode that an agent's process starts with."""
    mode = settings.claude_permission_mode
    if mode == "ask":  # Claude Code's own word for it
        return "default"
    return "default" if reads_only(settings) and mode in _UNASKED else mode


def confine(turn: Turn, settings: Settings) -> Turn:
    """Return *turn* with its permissions narrowed, if only read-only commands may run.

    Raises PermissionDenied if its rules would run other commands: an app that authenticates
    callers itself gives their rules only here.
    """
    if turn.profile != "agent" or not reads_only(settings):
        return turn
    permissions = turn.permissions
    if rules := rules_that_open(permissions.allow, settings):
        raise PermissionDenied(
            f"{', '.join(rules)[:200]} (allowed_tools) would run with all the rights of the "
            f"gateway's user. Its operator can {HOW_TO_OPEN}."
        )
    edits = EDITS if _accepts_edits(permissions, settings) else ()
    narrowed = replace(
        permissions,
        allow=(*permissions.allow, *edits),
        mode="default" if permissions.mode in _UNASKED else permissions.mode,
    )
    return replace(turn, permissions=narrowed)


def _accepts_edits(permissions: Permissions, settings: Settings) -> bool:
    mode = permissions.mode or settings.claude_permission_mode
    usable = set(settings.claude_tools).difference(permissions.deny)
    return mode == "acceptEdits" and not _WRITERS.isdisjoint(usable)


def rules_that_open(rules: Iterable[str], settings: Settings) -> list[str]:
    """Return those of the allow *rules* that would run unconfined commands."""
    if not reads_only(settings):
        return []
    return [rule for rule in rules if rule.partition("(")[0] in SHELLS]


def mistakes(settings: Settings) -> list[str]:
    """Return the settings that would run unconfined commands, each with a remedy."""
    if not reads_only(settings):
        return []
    problems = []
    if rules := rules_that_open(split_rules(settings.claude_allowed_tools), settings):
        problems.append(
            f"CLAUDE_ALLOWED_TOOLS: {', '.join(rules)} would run with all the rights of the "
            f"gateway's user; take it out, or {HOW_TO_OPEN}"
        )
    if settings.claude_permission_mode == "bypassPermissions":
        problems.append(
            "CLAUDE_PERMISSION_MODE: bypassPermissions would run any command; take Bash out of "
            f"CLAUDE_TOOLS, or {HOW_TO_OPEN}"
        )
    if settings.claude_setting_sources:
        problems.append(
            "CLAUDE_SETTING_SOURCES: settings files can allow any command; take Bash out of "
            f"CLAUDE_TOOLS, or {HOW_TO_OPEN}"
        )
    return problems
