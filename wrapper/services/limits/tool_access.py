"""Whether a caller's agents may use a tool, and which rule decides that.

Claude Code decides on each use. This says the same beforehand, so a live test holds it against what
Claude Code does in each permission mode.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from wrapper.services.approvals.questions import QUESTION_TOOL
from wrapper.services.limits.bounds import Bounds
from wrapper.services.permissions.confinement import SHELLS, Confinement, confinement
from wrapper.services.permissions.rules import split_rules, tool_of
from wrapper.services.principal import Principal
from wrapper.settings import Settings

# Claude Code never asks before it uses these; READERS see the working directory.
READERS = frozenset({"Read", "Glob", "Grep", "LS", "NotebookRead"})
HARMLESS = frozenset({"Agent", "TaskCreate", "TaskGet", "TaskList", "TaskUpdate", "TodoWrite"})
# What the rules of subagents and skills begin with.
ADDITIONS = ("Agent(", "Skill(")
# Claude Code does not let these change files that a rule denies to Read.
WRITERS = frozenset({"Edit", "Write", "MultiEdit", "NotebookEdit"})
# The tools that a rule with a pattern holds for. One without a pattern holds for its own tool.
FAMILIES = {"Edit": WRITERS, "Read": READERS | WRITERS}

NOBODY = "it needs approval there, and nobody can be asked"
APPROVAL = "The mode is ask: it waits for approval at /v1/approvals."


@dataclass(frozen=True)
class Access:
    """Whether a tool may be used: always, once it is approved, under a condition, or never.

    The `reason` says more.

    The rule that decides is the limit `rule` of `source`, or Claude Code's own where both are
    empty.
    """

    access: Literal["allowed", "needs_approval", "conditional", "denied"]
    reason: str
    source: str = ""
    rule: str = ""


ADDITION = Access("allowed", "It needs no permission; the tools that it uses do.")


class ToolAccess:
    """What *principal*'s agents may use within *bounds*. *plain* says that a session is plain."""

    def __init__(
        self, settings: Settings, principal: Principal, bounds: Bounds, *, plain: bool = False
    ):
        self._settings = settings
        self._principal = principal
        self._bounds = bounds
        self._plain = plain
        self._confinement = confinement(settings)

    def of(self, tool: str) -> Access:
        """Return whether *tool* may be used."""
        if denied := self.without_tools():
            return denied
        for needed in (tool, "Read") if tool in WRITERS else (tool,):
            if denied := next(self._denials(needed), None):
                return denied
        if tool == QUESTION_TOOL:
            return self._of_question()
        if tool.startswith(ADDITIONS):
            return self._of_addition(tool)
        access = self._allowed(tool) or self._of_mode(tool)
        if access.access == "allowed" and (limited := next(self._patterns(tool), None)):
            return limited
        return access

    def _of_addition(self, rule: str) -> Access:
        """Return whether the subagent or skill of this permission rule may be used."""
        if rule in split_rules(self._settings.claude_disallowed_tools):
            why = f"The rule {rule} denies it."
            return Access("denied", why, "settings", "CLAUDE_DISALLOWED_TOOLS")
        whole = self.of(tool_of(rule))
        return whole if whole.access == "denied" else ADDITION

    def without_tools(self) -> Access | None:
        """Return why the caller has no agents, and so no tool at all, if that is so."""
        if self._principal.profile == "plain":
            return Access("denied", "The key has no tools of Claude Code.", "key", "profile")
        if self._plain:
            return Access("denied", "The session is plain, without tools.", "session", "profile")
        return None

    def _denials(self, tool: str) -> Iterator[Access]:
        """Yield why *tool* is out of reach, whatever its arguments are."""
        for bound in self._bounds.each:
            tools, rules = bound.most.allowed_tools, bound.most.disallowed_tools or ()
            if tools is not None and tool_of(tool) not in tools:
                name = bound.name_of("allowed_tools")
                yield Access("denied", f"{tool} is not in that list.", bound.source, name)
            if tool in rules:
                name = bound.name_of("disallowed_tools")
                yield Access("denied", f"The rule {tool} denies it.", bound.source, name)

    def _patterns(self, tool: str) -> Iterator[Access]:
        """Yield the rules that deny some uses of *tool*."""
        settings = split_rules(self._settings.claude_disallowed_tools)
        each = [(bound, bound.most.disallowed_tools or ()) for bound in self._bounds.each]
        for bound, rules in ((self._bounds.each[0], settings), *each):
            if rule := _pattern(tool, rules):
                name = bound.name_of("disallowed_tools")
                yield Access("conditional", f"Not where {rule} denies it.", bound.source, name)

    def _allowed(self, tool: str) -> Access | None:
        """Return what the rules that allow say of *tool*, if they say anything."""
        own, mode = self._principal.allowed_tools, self._bounds.mode()[1]
        rules = split_rules(self._settings.claude_allowed_tools) if own is None else own
        source = ("settings", "CLAUDE_ALLOWED_TOOLS") if own is None else ("key", "allowed_tools")
        if mode == "plan" and tool in WRITERS:  # no rule allows these then
            return None
        if tool in rules:
            return Access("allowed", f"The rule {tool} allows it.", *source)
        if (rule := _pattern(tool, rules)) and self._of_mode(tool).access == "denied":
            return Access("conditional", f"Only where {rule} allows it.", *source)
        return None

    def _of_mode(self, tool: str) -> Access:
        """Return what the permission mode says of *tool*."""
        bound, mode = self._bounds.mode()
        rule = bound.source, bound.name_of("permission_mode")
        if tool in SHELLS:
            return self._of_shell(mode, rule)
        if mode == "bypassPermissions":
            return Access("allowed", f"The mode {mode} allows everything.", *rule)
        if tool in READERS:
            return Access("allowed", "It reads in the agent's working directory.")
        if tool in HARMLESS or (tool == "Skill" and self._settings.claude_skills):
            return Access("allowed", "It needs no permission.")
        if mode == "ask":
            return self._of_ask(tool, rule)
        if tool in WRITERS:
            if mode == "acceptEdits":
                return Access("allowed", "It writes in the agent's working directory.", *rule)
            return Access("denied", f"The mode is {mode}; {NOBODY}.", *rule)
        if tool == "WebFetch":
            why = f"The mode is {mode}: only hosts that Claude Code knows to be safe."
            return Access("conditional", why, *rule)
        if tool == "WebSearch" or tool.startswith("mcp__"):
            return Access("denied", f"The mode is {mode}; {NOBODY}.", *rule)
        return Access("conditional", f"Claude Code decides on each use, in the mode {mode}.", *rule)

    def _of_question(self) -> Access:
        """Return what holds for the tool that asks the user, whatever rules say of it."""
        bound, mode = self._bounds.mode()
        rule = bound.source, bound.name_of("permission_mode")
        if mode == "ask":
            why = "The mode is ask: its questions wait for answers at /v1/approvals."
            return Access("needs_approval", why, *rule)
        return Access("denied", f"The mode is {mode}; only in the mode ask anybody answers.", *rule)

    def _of_ask(self, tool: str, rule: tuple[str, str]) -> Access:
        """Return what the mode ask says of a tool that the mode default does not allow."""
        if tool == "ExitPlanMode":
            return Access("denied", "Only a request sets the mode.", *rule)
        bound = self._bounds.edits_only()
        if bound and tool not in WRITERS and not tool.startswith("mcp__"):
            name = bound.name_of("permission_mode")
            why = "Approvals allow no more than the mode acceptEdits: changes of files."
            return Access("denied", why, bound.source, name)
        return Access("needs_approval", APPROVAL, *rule)

    def _of_shell(self, mode: str, rule: tuple[str, str]) -> Access:
        if self._confinement is Confinement.READ_ONLY:
            why = f"Only {Confinement.READ_ONLY.value}."
            return Access("conditional", why, "settings", "read_only_commands")
        if mode == "bypassPermissions":
            return Access("allowed", f"The mode {mode} allows everything.", *rule)
        if self._confinement is Confinement.SANDBOX:
            return Access("conditional", "What runs in the sandbox.", "settings", "CLAUDE_SANDBOX")
        if mode == "ask" and not self._bounds.edits_only():
            why = "The mode is ask: commands that do more than read wait for approval."
            return Access("needs_approval", why, *rule)
        why = f"The mode is {mode}: only commands that need no approval in it."
        return Access("conditional", why, *rule)


def _pattern(tool: str, rules: Iterable[str]) -> str:
    """Return the first of *rules* that holds for some uses of *tool*, or an empty text."""
    for rule in rules:
        name = tool_of(rule)
        if rule != name and tool in FAMILIES.get(name, (name,)):
            return rule
    return ""
