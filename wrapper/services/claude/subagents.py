"""The subagents of CLAUDE_SUBAGENTS, to which an agent may hand a task."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wrapper.services.tools.tool import Tool
from wrapper.settings import Settings, SettingsError

SETTING = "CLAUDE_SUBAGENTS_FILE"
# Claude Code's tool for them, and the origin under which they are listed.
AGENT, ORIGIN = "Agent", "subagent"
MOST_BYTES = 1024**2
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
# An agent starts these by itself: a fork is a copy of the agent.
_RESERVED = ("fork",)
_FIELDS = ("description", "prompt", "tools")

# As Claude Code's --agents has them: a table under each name.
Subagents = dict[str, dict[str, Any]]


def read_subagents(settings: Settings) -> Subagents:
    """Return the subagents that the settings enable. Raises SettingsError with all mistakes."""
    names, path = settings.claude_subagents, settings.claude_subagents_file
    if not names:
        return {}
    found = [*_contradictions(settings)]
    table = _read(Path(path)) if path else {}
    for name in names:
        found += _mistakes(name, table.get(name), settings) if path else ()
    if found:
        raise SettingsError(found)
    # Another model may be out of the caller's reach.
    return {name: {**table[name], "model": "inherit"} for name in names}


def listed(subagents: Subagents) -> Iterator[Tool]:
    """Yield the subagents as tools, each under the name that it has in permission rules."""
    for name, subagent in subagents.items():
        yield Tool(rule_of(name), subagent["description"], origin=ORIGIN)


def rule_of(name: str) -> str:
    """Return the permission rule for the subagent *name*."""
    return f"{AGENT}({name})"


def refusal(arguments: Mapping[str, Any], subagents: Subagents) -> str:
    """Return why a call of Claude Code's tool with *arguments* must not run; empty if it may.

    A call may choose another model, or a directory of its own, for which Claude Code runs git.
    """
    if arguments.get("subagent_type") not in subagents:
        return f"There is no such subagent; there are: {', '.join(subagents)}."
    if beyond := [name for name in ("model", "isolation", "cwd") if arguments.get(name)]:
        return f"A subagent cannot be called with {', '.join(beyond)} here; leave it out."
    return ""


def _contradictions(settings: Settings) -> Iterator[str]:
    if AGENT not in settings.claude_tools:
        tools = ",".join((*settings.claude_tools, AGENT))
        yield f"CLAUDE_SUBAGENTS: needs the tool {AGENT}; set CLAUDE_TOOLS={tools}, or remove it"
    if not settings.claude_subagents_file:
        yield f"CLAUDE_SUBAGENTS: needs {SETTING}, the file that has them; set it, or remove it"


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SettingsError([f"{SETTING}: {path} has more than {MOST_BYTES} bytes; shorten it"])
        table = json.loads(path.read_text("utf-8"))
    except OSError as error:
        why = f"{path} cannot be read ({error.strerror}); correct the path"
        raise SettingsError([f"{SETTING}: {why}"]) from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise SettingsError([f"{SETTING}: {path} is not valid JSON at {where}"]) from None
    except (ValueError, RecursionError):
        raise SettingsError([f"{SETTING}: {path} is not JSON in UTF-8"]) from None
    if not isinstance(table, dict):
        raise SettingsError([f"{SETTING}: {path} is no object with a subagent under each name"])
    return table


def _mistakes(name: str, subagent: Any, settings: Settings) -> Iterator[str]:
    where = f"{SETTING}: {name[:80]}"
    if not _NAME.fullmatch(name) or name in _RESERVED:
        yield f"CLAUDE_SUBAGENTS: {name[:80]!r} can be no subagent's name; choose another one"
    elif subagent is None:
        yield f"CLAUDE_SUBAGENTS: {SETTING} has no {name!r}; correct the name"
    elif not isinstance(subagent, dict):
        yield f"{where} must be an object with {', '.join(_FIELDS)}"
    else:
        for field in ("description", "prompt"):
            text = subagent.get(field)
            if not isinstance(text, str) or not text.strip():
                yield f"{where}.{field} must be a nonempty text"
        if beyond := sorted(set(subagent) - {*_FIELDS}):
            yield (
                f"{where} has {', '.join(beyond)[:200]}; the gateway knows {', '.join(_FIELDS)}: "
                "remove the others"
            )
        yield from _tool_mistakes(f"{where}.tools", subagent.get("tools"), settings)


def _tool_mistakes(where: str, tools: Any, settings: Settings) -> Iterator[str]:
    usable = [tool for tool in settings.claude_tools if tool not in (AGENT, "Skill")]
    fits = isinstance(tools, list) and all(isinstance(tool, str) for tool in tools)
    if not fits:
        yield f"{where} must be a list of tools, of {', '.join(usable)}"
        return
    if beyond := [tool for tool in tools if tool not in usable and not tool.startswith("mcp__")]:
        yield f"{where} has {', '.join(beyond)[:200]}; choose among {', '.join(usable)} and mcp__…"
