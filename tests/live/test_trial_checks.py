"""Each check of the trial fails on a Claude Code that breaks its promise, and no other one does."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import altered_claude as fault
from tests.support import cli
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.profiles import build_profiles
from wrapper.services.claude.processes.trials.examination import examine
from wrapper.services.claude.processes.trials.table import CHECKS, check_of
from wrapper.settings import Settings

pytestmark = pytest.mark.clis
SECONDS = 60
FIRST = {check.id for check in CHECKS if check.comes_first}


@dataclass(frozen=True)
class Broken:
    """A Claude Code whose input or start is altered, so that *check* fails with *failure*.

    *follows* are checks that fail because of this, too, in some versions. *skills* says that the
    operator has some.
    """

    check: str
    profile: str
    failure: str
    edit: str = ""
    start: str = ""
    follows: tuple[str, ...] = ()
    skills: bool = False


BROKEN = [
    Broken("history", "agent", "user, assistant, assistant, user", fault.REPEATS_ANSWER),
    Broken(
        "text",
        "agent",
        "a file that a text names is sent",
        fault.HEEDS_COMMANDS,
        follows=("history", "commands"),
    ),
    Broken("text", "agent", "sends 0 requests", fault.HEEDS_COMMANDS, skills=True),
    Broken(
        "conversation",
        "plain",
        "the conversation of",
        fault.IGNORES_CONVERSATION,
        follows=("sampling",),
    ),
    Broken("sampling", "agent", "instead of 77", fault.IGNORES_LIMIT),
    Broken("sampling", "plain", "instead of 77", fault.IGNORES_LIMIT),
    Broken("model", "agent", "that /model was called", fault.SHOWS_MODEL_CHANGE),
    Broken("directory", "agent", "where its process started", fault.STAYS_IN_DIRECTORY),
    Broken("form", "plain", "other parts than the caller's", fault.SHOWS_OWN_PROMPT),
    Broken(
        "isolation",
        "agent",
        "a hook of the host's",
        start=fault.HOST_SETTINGS,
        follows=("text", "commands"),
    ),
    Broken("isolation", "plain", "variables of the host's", start=fault.HOST_SETTINGS),
    Broken("tools", "agent", "tools beside those of CLAUDE_TOOLS", start=fault.ALL_TOOLS),
    Broken("tools", "plain", "tools beside those of CLAUDE_TOOLS", start=fault.ALL_TOOLS),
    Broken("commands", "agent", "shows a file outside", fault.RUNS_ANYWAY),
    Broken("rules", "agent", "a tool that a rule denies is used", fault.IGNORES_RULES),
    Broken(
        "skills",
        "agent",
        "a file that an argument names",
        start=fault.READS_MENTIONED_FILES,
        skills=True,
    ),
    Broken("too-long", "agent", "requests instead of one", start=fault.SUMMARISES),
    Broken("max-turns", "agent", "sends 2 requests", fault.IGNORES_HOOK),
    Broken("budget", "plain", "sends 2 requests", start=fault.LARGE_BUDGET),
    Broken("refusal", "agent", "sends 2 requests", start=fault.ASKS_AGAIN_IF_REFUSED),
    Broken("retries", "plain", "sends 2 requests", start=fault.RETRIES),
    Broken("local-commands", "agent", "text of an earlier", fault.MISTAKES_LOCAL_COMMANDS),
    Broken("warm-up", "plain", "its field system differs", fault.IGNORES_LATE_PROMPT),
    Broken("warm-up", "plain", "the warm-up sends a request", fault.DROPS_INVALID_HEADERS),
    Broken("warm-up", "agent", "its header x-trial differs", fault.LOSES_HEADERS),
    Broken("recycling", "plain", "sends 0 requests", fault.IGNORES_CLEAR),
    Broken("recycling", "plain", "its field max_tokens differs", fault.KEEPS_LIMIT),
    Broken("recycling", "agent", "its field messages differs", fault.SHOWS_NOTES_OF_CLEAR),
]


def results(
    folder: Path, binary: str, profile: str, ids: Collection[str], *, skills: bool = False
) -> dict[str, str]:
    """Return why each check with one of *ids* fails, or ""."""
    environment = {"PATH": os.environ["PATH"], "ANTHROPIC_API_KEY": "sk-test"}
    tried = build_profiles(_settings(folder, skills=skills), environment)[profile]

    @contextmanager
    def lend(profile, config):
        process = Process(profile, binary, folder, config)
        try:
            yield process
        finally:
            process.stop()

    checks = [check for check in CHECKS if check.is_for(tried) and check.id in ids]
    findings = examine(tried, checks, lend, SECONDS, folder)
    return {finding.check.id: finding.failed for finding in findings}


def _settings(folder: Path, *, skills: bool) -> Settings:
    if not skills:
        return Settings(claude_code_max_retries=0)
    file = folder / "operator" / "commands" / "greet.md"
    file.parent.mkdir(parents=True)
    file.write_text("---\ndescription: Greets.\n---\nGreet $ARGUMENTS.")
    return Settings(
        claude_code_max_retries=0,
        claude_tools=("Read", "Bash", "Skill"),
        claude_skills=("greet",),
        claude_skills_dir=str(folder / "operator"),
    )


@pytest.mark.parametrize(("profile", "skills"), [("agent", True), ("plain", False)])
def test_the_current_one_passes(tmp_path, profile, skills):
    """The installed Claude Code passes all checks that come first, with skills, too."""
    found = results(tmp_path, cli.current(), profile, FIRST, skills=skills)
    assert found
    assert not any(found.values())


@pytest.mark.parametrize(
    "broken",
    BROKEN,
    ids=[f"{broken.profile} {broken.check}: {broken.failure}" for broken in BROKEN],
)
def test_each_check_fails(tmp_path, broken):
    """The check says what is done otherwise, and of those that come first no other one fails."""
    binary = fault.altered(tmp_path, broken.edit, broken.start)
    ids = FIRST if check_of(broken.check).comes_first else {broken.check}
    found = results(tmp_path, binary, broken.profile, ids, skills=broken.skills)
    failed = {check: failure for check, failure in found.items() if failure}
    assert broken.failure in failed.get(broken.check, "")
    assert set(failed) - {broken.check} <= set(broken.follows)


def test_none_is_forgotten():
    """There is a Claude Code for each check."""
    assert {broken.check for broken in BROKEN} == {check.id for check in CHECKS}
