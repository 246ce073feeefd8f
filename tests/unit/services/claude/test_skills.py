"""The skills of the settings: mistakes are found at the start, and uses are checked."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from wrapper.services.claude.additions import Additions, mistakes_of
from wrapper.services.claude.processes.directories import Directories
from wrapper.services.claude.processes.profiles import build_profiles
from wrapper.services.claude.protocol.initialize import initialize_request
from wrapper.services.claude.skill_file import Skill, parse
from wrapper.services.claude.skills import listed, read_skills, refusal
from wrapper.services.tools.tool import Tool
from wrapper.services.turn import Message, Turn
from wrapper.settings import Settings

pytestmark = pytest.mark.packages

GOOD = "---\ndescription: Good.\n---\nDo it.\n"
SKILL = Skill({"description": "Good."}, "Do it.")


def refused(path: Path, **_: Any) -> None:
    raise PermissionError(errno.EACCES, "Permission denied", str(path))


@pytest.fixture
def settings_of(tmp_path):
    """A function that returns settings with a directory of skills."""

    def settings_of(files: dict[str, str], *names: str, **more: Any) -> Settings:
        for name, text in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        given: dict[str, Any] = {"claude_skills_dir": str(tmp_path), "claude_tools": ("Skill",)}
        return Settings(**{**given, "claude_skills": names, **more})

    return settings_of


def test_only_what_is_named(settings_of):
    """Those that are named are enabled; without names none is, whatever the directory has."""
    files = {"skills/a/SKILL.md": GOOD, "commands/b.md": GOOD, "commands/broken.md": ""}
    skills = read_skills(settings_of(files, "a", "b"))
    assert skills == {"a": SKILL, "b": Skill(SKILL.fields, "Do it.", "command")}
    assert [*listed(skills)] == [
        Tool("Skill(gateway:a)", "Good.", origin="skill"),
        Tool("Skill(gateway:b)", "Good.", origin="command"),
    ]
    assert read_skills(settings_of(files)) == {}


FIELDS = """---
# A comment.
name: other
description: >-
  Reviews: code,
  and "texts".
argument-hint: "[file] \\u00e9"
when_to_use: 'It''s asked.'
allowed-tools:
  - Bash(git *)
metadata:
  author: x
---

Look at $1.
---
End.
"""


def test_what_is_passed_on():
    """Claude Code gets the text and what describes it, and neither permissions nor a name."""
    skill, mistakes = parse(FIELDS, "skill")
    assert not mistakes
    assert skill.file() == (
        '---\ndescription: "Reviews: code, and \\"texts\\"."\nargument-hint: "[file] \\u00e9"\n'
        'when_to_use: "It\'s asked."\n---\nLook at $1.\n---\nEnd.\n'
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it has no text after its fields"),
        ("Do it.", "it has no description"),
        ("---\ndescription: x\n", "line 1: no line --- ends the fields"),
        ("---\ndescription: x\nhooks:\n  Stop: x\n---\nDo", "line 3: hooks has no effect here"),
        ("---\ndescription: x\ncontext: fork\n---\nDo", "line 3: context has no effect here"),
        ("---\ndescription: x\nmodel: opus\n---\nDo", "line 3: model has no effect here"),
        ("---\nnonsense\ndescription: x\n---\nDo", "line 2: it is no field"),
        ('---\ndescription: "x\n---\nDo', "line 2: the quotes of description are wrong"),
        (f"{GOOD}\n- !`id $1`", "line 6: ! before code is a command"),
        (f"{GOOD}``` !\nid\n```", "line 5: ! before code is a command"),
        (f"{GOOD}See @$ARGUMENTS", "line 5: an argument after @ could name any file"),
        (f"{GOOD}See @'${{1}}'", "line 5: an argument after @"),
    ],
)
def test_mistakes_in_a_file(settings_of, text, says):
    """A mistake in a file is said with the file, the line and what to do."""
    found = mistakes_of(settings_of({"commands/a.md": text}, "a"))
    assert any(says in mistake for mistake in found)
    assert all(mistake.startswith("CLAUDE_SKILLS_DIR: /") for mistake in found)
    assert all("commands/a.md: " in mistake for mistake in found)


def test_what_only_looks_like_a_command(settings_of):
    """A decorator, a mail address and an exclamation mark are text."""
    text = f"{GOOD}@pytest.fixture\na@b.c! `code`, costs $5\n"
    assert not mistakes_of(settings_of({"commands/a.md": text}, "a"))


def test_further_files(settings_of):
    """A skill whose text refers to further files is refused, as agents cannot read these."""
    files = {"skills/a/SKILL.md": GOOD, "skills/a/LICENSE.txt": "", "skills/a/.x": ""}
    assert not mistakes_of(settings_of(files, "a"))
    (mistake,) = mistakes_of(settings_of({**files, "skills/a/scripts/run.sh": ""}, "a"))
    assert "skills/a/SKILL.md: beside it is scripts, which agents cannot read" in mistake


def test_contradictions(settings_of, tmp_path, monkeypatch):
    """Skills need their tool and a directory, and one file each, which can be read."""
    found = mistakes_of(Settings(claude_skills=("a",)))
    assert [mistake.partition(";")[0] for mistake in found] == [
        "CLAUDE_SKILLS: needs the tool Skill",
        "CLAUDE_SKILLS: needs CLAUDE_SKILLS_DIR, the directory that has them",
    ]
    both = {"skills/a/SKILL.md": GOOD, "commands/a.md": GOOD}
    (mistake,) = mistakes_of(settings_of(both, "a"))
    assert "have that name; rename one" in mistake
    for name in ("../a", "a b", "", "a/b"):
        assert "can be no skill's name" in mistakes_of(settings_of({}, name))[0]
    assert "there is neither" in mistakes_of(settings_of({}, "absent"))[0]
    (tmp_path / "commands" / "latin.md").write_bytes(b"\xe9")
    assert "it is not UTF-8" in mistakes_of(settings_of({}, "latin"))[0]
    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", refused)
        assert "cannot be read (Permission denied); let" in mistakes_of(settings_of({}, "a"))[0]
    large = {"commands/large.md": GOOD + "x" * 2**18}
    assert "more than 262144 bytes" in mistakes_of(settings_of(large, "large"))[0]


def test_process(settings_of, tmp_path):
    """An agent's process gets a plugin with the skills alone; without any, nothing changes."""
    files = {"commands/a.md": GOOD, "commands/b.md": GOOD}
    profile = build_profiles(settings_of(files, "a"), {})["agent"]
    assert profile.variables["CLAUDE_CODE_DISABLE_BUNDLED_SKILLS"] == "1"
    settings = profile.arguments[profile.arguments.index("--settings") + 1]
    assert '"disableSkillShellExecution": true' in settings
    home = tmp_path / "home"
    directories = Directories(home, None)
    directories.make(profile)
    name, folder = directories.arguments(profile)
    assert name == "--plugin-dir"
    plugin = {str(path.relative_to(folder)) for path in Path(folder).rglob("*.*")}
    assert plugin == {".claude-plugin", ".claude-plugin/plugin.json", "commands/a.md"}
    assert (Path(folder) / "commands/a.md").read_text() == SKILL.file()
    for without in (build_profiles(Settings(), {}), build_profiles(settings_of(files, "a"), {})):
        assert not directories.arguments(without["plain"])
    agent = build_profiles(Settings(), {})["agent"]
    assert "disableSkill" not in str(agent.arguments)
    assert "CLAUDE_CODE_DISABLE_BUNDLED_SKILLS" not in agent.variables


def test_initialize():
    """The request that initializes a process names the skills, and a hook before each use."""
    turn = Turn("m", (Message("user", ("Hi",)),), profile="agent")
    request = initialize_request(turn, Additions(skills={"a": SKILL}))
    assert request["skills"] == ["gateway:a"]
    assert request["hooks"]["PreToolUse"][0]["matcher"] == "Skill"
    both = initialize_request(turn, Additions({"s": {}}, {"a": SKILL}))
    assert both["hooks"]["PreToolUse"][0]["matcher"] == "Agent|Task|Skill"
    assert not {"skills", "agents", "hooks"} & {*initialize_request(turn)}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"skill": "gateway:a"}, ""),
        ({"skill": "gateway:a", "args": "to a@b.c, 5 $ and `x`"}, ""),
        ({"skill": "a"}, "There is no such skill; there are: gateway:a."),
        ({"skill": "/gateway:a"}, "There is no such skill"),
        ({"skill": ["gateway:a"]}, "There is no such skill"),
        ({}, "There is no such skill"),
        ({"skill": "gateway:a", "model": "opus"}, "cannot be used with model"),
        ({"skill": "gateway:a", "args": "@/etc/passwd"}, "begins with @"),
        ({"skill": "gateway:a", "args": 'x "@/etc/passwd"'}, "begins with @"),
        ({"skill": "gateway:a", "args": "\u3000@server:file"}, "begins with @"),
        ({"skill": "gateway:a", "args": "\u3002@x"}, "begins with @"),
        ({"skill": "gateway:a", "args": ["@x"]}, "begins with @"),
    ],
)
def test_refusal(arguments, says):
    """A use may only name an enabled skill, and its arguments name no file."""
    found = Additions(skills={"a": SKILL}).refusal({"tool_name": "Skill", "tool_input": arguments})
    assert (says in found) if says else not found
    assert found == refusal(arguments, {"a": SKILL})
