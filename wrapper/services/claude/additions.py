"""What the operator adds to agents: subagents and skills."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from wrapper.services.claude import skills, subagents
from wrapper.services.claude.skills import SKILL, Skills, read_skills
from wrapper.services.claude.subagents import AGENT, Subagents, read_subagents
from wrapper.services.tools.tool import Tool
from wrapper.settings import Settings, SettingsError


@dataclass(frozen=True)
class Additions:
    """The subagents and skills that the settings enable, by name."""

    subagents: Subagents = field(default_factory=dict)
    skills: Skills = field(default_factory=dict)

    @property
    def skill_names(self) -> list[str]:
        """Return the names that Claude Code gives to the skills."""
        return [skills.full_name(name) for name in self.skills]

    @property
    def checked_tools(self) -> tuple[str, ...]:
        """Return the tools of Claude Code whose calls `refusal` checks before they run."""
        # The second name of a subagent's tool is that of older versions.
        return ((AGENT, "Task") if self.subagents else ()) + ((SKILL,) if self.skills else ())

    def listed(self) -> Iterator[Tool]:
        """Yield them as tools, each under the name that it has in permission rules."""
        yield from subagents.listed(self.subagents)
        yield from skills.listed(self.skills)

    def starts_subagent(self, call: Mapping[str, Any]) -> bool:
        """Say whether Claude Code would start a subagent for this *call* of `checked_tools`."""
        return call.get("tool_name") != SKILL

    def refusal(self, call: Mapping[str, Any]) -> str:
        """Return why Claude Code must not run this *call*; empty if it may."""
        arguments = call.get("tool_input") or {}
        if call.get("tool_name") == SKILL:
            return skills.refusal(arguments, self.skills)
        return subagents.refusal(arguments, self.subagents)


def read_additions(settings: Settings) -> Additions:
    """Return what the settings enable. Raises SettingsError with all mistakes of the first kind."""
    return Additions(read_subagents(settings), read_skills(settings))


def mistakes_of(settings: Settings) -> list[str]:
    """Return the mistakes in the settings of additions and in their files."""
    mistakes: list[str] = []
    for read in (read_subagents, read_skills):
        try:
            read(settings)
        except SettingsError as error:
            mistakes += error.mistakes
    return mistakes
