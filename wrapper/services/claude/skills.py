"""The skills and slash commands of CLAUDE_SKILLS, which an agent may use.

Claude Code gets them in a plugin of the gateway's own, and both as commands. So it reads no
settings of the operator's directory, runs none of its hooks, and names no directory to the model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wrapper.services.claude.skill_file import Skill, parse
from wrapper.services.tools.tool import Tool
from wrapper.settings import Settings, SettingsError

SETTING = "CLAUDE_SKILLS_DIR"
# Claude Code's tool for them, and the plugin whose name is part of theirs.
SKILL, PLUGIN = "Skill", "gateway"
MOST_BYTES = 256 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
# What does not belong to a skill's content, in its directory.
_ASIDE = re.compile(r"\..*|LICENSE.*")
# Claude Code takes a word that begins with @ for a file or an MCP server's resource.
_MENTION = re.compile(r"(?<![A-Za-z0-9_.+-])@")

Skills = dict[str, Skill]


def read_skills(settings: Settings) -> Skills:
    """Return the skills that the settings enable. Raises SettingsError with all mistakes."""
    found = [*_contradictions(settings)] if settings.claude_skills else []
    skills: Skills = {}
    for name in settings.claude_skills if settings.claude_skills_dir else ():
        try:
            skills[name] = _read(name, Path(settings.claude_skills_dir).expanduser())
        except SettingsError as error:
            found += error.mistakes
        except OSError as error:
            why = f"{error.filename} cannot be read ({error.strerror}); let the gateway's user"
            found.append(f"{SETTING}: {name}: {why} read it")
    if found:
        raise SettingsError(found)
    return skills


def listed(skills: Mapping[str, Skill]) -> Iterator[Tool]:
    """Yield the skills as tools, each under the name that it has in permission rules."""
    for name, skill in skills.items():
        yield Tool(f"{SKILL}({full_name(name)})", skill.description, origin=skill.origin)


def full_name(name: str) -> str:
    """Return the name that Claude Code gives to the skill *name*."""
    return f"{PLUGIN}:{name}"


def refusal(arguments: Mapping[str, Any], skills: Mapping[str, Skill]) -> str:
    """Return why a call of Claude Code's tool with *arguments* must not run; empty if it may."""
    names = [full_name(name) for name in skills]
    if arguments.get("skill") not in names:
        return f"There is no such skill; there are: {', '.join(names)}."
    if beyond := sorted(set(arguments) - {"skill", "args"}):
        return f"A skill cannot be used with {', '.join(beyond)[:200]} here; leave it out."
    if _MENTION.search(str(arguments.get("args"))):
        return "The arguments of a skill can have no word that begins with @ here; leave out the @."
    return ""


def write_plugin(folder: Path, skills: Mapping[str, Skill]) -> None:
    """Write the plugin to the new *folder*, for everybody who can get there. Raises OSError."""
    described = json.dumps({"name": PLUGIN})
    files = {".claude-plugin/plugin.json": described}
    files |= {f"commands/{name}.md": skill.file() for name, skill in skills.items()}
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
        file.chmod(0o644)
        for directory in (file.parent, folder):
            directory.chmod(0o755)


def _contradictions(settings: Settings) -> Iterator[str]:
    if SKILL not in settings.claude_tools:
        tools = ",".join((*settings.claude_tools, SKILL))
        yield f"CLAUDE_SKILLS: needs the tool {SKILL}; set CLAUDE_TOOLS={tools}, or remove it"
    if not settings.claude_skills_dir:
        yield f"CLAUDE_SKILLS: needs {SETTING}, the directory that has them; set it, or remove it"


def _read(name: str, folder: Path) -> Skill:
    """Return the skill or command *name* in *folder*.

    Raises SettingsError with all mistakes, and OSError.
    """
    if not _NAME.fullmatch(name):
        what = f"{name[:80]!r} can be no skill's name; choose letters, digits, - and _"
        raise SettingsError([f"CLAUDE_SKILLS: {what}"])
    skill, command = folder / "skills" / name / "SKILL.md", folder / "commands" / f"{name}.md"
    there = {"skill": skill, "command": command}
    there = {origin: file for origin, file in there.items() if file.is_file()}
    if not there:
        what = f"there is neither {skill} nor {command}; correct the name or the directory"
        raise SettingsError([f"CLAUDE_SKILLS: {name}: {what}"])
    if len(there) > 1:
        what = f"both {skill} and {command} have that name; rename one"
        raise SettingsError([f"CLAUDE_SKILLS: {name}: {what}"])
    ((origin, file),) = there.items()
    parsed, found = parse(_text(file), origin)
    found += _further_files(file.parent) if origin == "skill" else ()
    if found:
        raise SettingsError([f"{SETTING}: {file}: {mistake}" for mistake in found])
    return parsed


def _text(file: Path) -> str:
    if file.stat().st_size > MOST_BYTES:
        raise SettingsError([f"{SETTING}: {file}: more than {MOST_BYTES} bytes; shorten it"])
    try:
        return file.read_text("utf-8-sig")
    except ValueError:
        raise SettingsError([f"{SETTING}: {file}: it is not UTF-8; convert it"]) from None


def _further_files(folder: Path) -> Iterator[str]:
    names = (path.name for path in folder.iterdir() if path.name != "SKILL.md")
    if further := sorted(name for name in names if not _ASIDE.fullmatch(name)):
        yield (
            f"beside it is {', '.join(further)[:200]}, which agents cannot read; put what they "
            "need into SKILL.md, and remove the rest"
        )
