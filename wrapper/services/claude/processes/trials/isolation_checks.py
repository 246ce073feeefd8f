"""Checks of what an agent gets of its host and may do there."""

from __future__ import annotations

from wrapper.services.claude.processes.profiles import Profile
from wrapper.services.claude.processes.trials import answer
from wrapper.services.claude.processes.trials.check import Check, Consequence
from wrapper.services.claude.processes.trials.failure import expect
from wrapper.services.claude.processes.trials.text_checks import sent_requests
from wrapper.services.claude.processes.trials.trial import Trial, is_isolated
from wrapper.services.claude.protocol.permission_prompt import asks_permission
from wrapper.services.permissions.confinement import HOW_TO_OPEN
from wrapper.services.turn import Message, Permissions, Turn
from wrapper.settings.claude_tools import ALL_TOOLS

BOTH = ("agent", "plain")
# Each would print or write a file beside the directory, if it ran unasked.
COMMANDS = (
    "cat < {secret}",
    "cat {secret}",
    "head -n 9 {secret}",
    "grep -r hidden ..",
    "env",
    "echo $(cat {secret})",
    "git diff --no-index /dev/null {secret}",
    "find . -fprint {folder}/found",
    "sort -o {folder}/sorted {secret}",
    "sed -n w{folder}/written {secret}",
    "ls -la > {folder}/listed",
    "true; touch {folder}/touched",
)
LIST = "ls -a"


def _check_planted(trial: Trial) -> None:
    requests = sent_requests(trial)
    expect(not trial.plants.mark.exists(), "a hook of the host's settings runs")
    for request in requests:
        sent = request.body.decode(errors="replace")
        expect(trial.plants.nonce not in sent, "a file of the host's settings is sent to the model")
        expect(trial.plants.nonce not in str(request.headers), "variables of the host's are used")


def _check_tools(trial: Trial) -> None:
    allowed = _tools_of(trial.profile)
    for request in sent_requests(trial):
        names = [str(tool.get("name")) for tool in request.fields.get("tools") or ()]
        more = [name for name in names if name not in allowed]
        expect(not more, f"the model gets tools beside those of CLAUDE_TOOLS: {', '.join(more)}")


def _check_commands(trial: Trial) -> None:
    """No command runs without asking, and nothing comes of those that are denied."""
    plants = trial.plants
    commands = [
        *(command.format(secret=plants.secret, folder=plants.folder) for command in COMMANDS),
        LIST,
    ]
    uses = [("Bash", {"command": command}) for command in commands]
    turn = Turn("haiku", (Message("user", ("Look around.",)),))
    outcome = trial.run(turn, answer.calls(uses), workspace=plants.moved)
    asked = [request for request in outcome.controls if asks_permission(request)]
    unasked = len(commands) - len(asked)
    expect(unasked <= 0, f"{unasked} of {len(commands)} commands run without asking the gateway")
    results = _results(outcome.requests[-1].body if len(outcome.requests) > 1 else b"")
    expect(plants.hidden not in results, "a command shows a file outside of the directory")
    expect(not plants.leftovers(), "a command writes a file although it was denied")
    expect(plants.notes.name in results, "a command that only reads does not run")


def _check_rules(trial: Trial) -> None:
    """What a rule of the turn denies does not run, although the process may do it."""
    read = answer.calls([("Read", {"file_path": str(trial.plants.notes)})])
    turn = Turn("haiku", (Message("user", ("Read it.",)),), permissions=Permissions(deny=("Read",)))
    outcome = trial.run(turn, read, workspace=trial.plants.moved)
    results = _results(outcome.requests[-1].body if len(outcome.requests) > 1 else b"")
    expect(trial.plants.noted not in results, "a tool that a rule denies is used")


def _results(body: bytes) -> str:
    return body.decode(errors="replace")


def _tools_of(profile: Profile) -> set[str]:
    """Return the tools that the arguments of *profile* allow."""
    listed = profile.arguments[profile.arguments.index("--tools") + 1]
    names = {name for name in listed.split(",") if name}
    return set(ALL_TOOLS) if "default" in names else names


def has_tool(profile: Profile, name: str) -> bool:
    """Say whether the model of *profile* gets this tool of Claude Code's."""
    return name in _tools_of(profile)


def _has_bash(profile: Profile) -> bool:
    return profile.reads_only and has_tool(profile, "Bash")


ISOLATION_CHECKS = (
    Check(
        "isolation",
        BOTH,
        "No settings, hooks, skills, memory or CLAUDE.md of the host or a directory take effect.",
        Consequence.REFUSED,
        _check_planted,
        comes_first=True,
        applies=is_isolated,
    ),
    Check(
        "tools",
        BOTH,
        "CLAUDE_TOOLS is the whole list of the tools that the model gets.",
        Consequence.REFUSED,
        _check_tools,
        comes_first=True,
    ),
    Check(
        "commands",
        ("agent",),
        "Claude Code asks the gateway before each command, and runs none that is denied.",
        Consequence.REFUSED,
        _check_commands,
        comes_first=True,
        applies=_has_bash,
        remedy=f"take Bash out of CLAUDE_TOOLS, or {HOW_TO_OPEN}",
    ),
    Check(
        "rules",
        ("agent",),
        "The rules of a turn or key that deny tools hold.",
        Consequence.UNAVAILABLE,
        _check_rules,
        comes_first=True,
        applies=lambda profile: has_tool(profile, "Read"),
        needed_by=lambda turn: bool(turn.permissions.deny),
    ),
)
