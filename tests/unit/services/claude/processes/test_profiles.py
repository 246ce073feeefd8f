"""Profiles: the arguments and environment of their processes."""

from __future__ import annotations

import itertools
import json

import pytest

from wrapper.services.claude.processes.profiles import build_profiles
from wrapper.settings import Settings

KEY = {"ANTHROPIC_API_KEY": "sk-something"}


def test_plain_has_no_tools():
    """The plain profile is spawned without tools, and ends after its first answer."""
    plain = build_profiles(Settings(), KEY)["plain"]
    arguments = dict(itertools.pairwise(plain.arguments))
    assert arguments["--tools"] == ""
    assert float(arguments["--max-budget-usd"]) < 1e-6
    assert plain.variables["CLAUDE_CODE_SIMPLE"] == "1"
    assert plain.budgeted


def test_plain_with_a_cli_login():
    """With a CLI login neither SIMPLE, which ignores it, nor the budget is used."""
    plain = build_profiles(Settings(), {"HOME": "/home/me"})["plain"]
    assert "--max-budget-usd" not in plain.arguments
    assert "CLAUDE_CODE_SIMPLE" not in plain.variables
    assert not plain.budgeted


def test_rules_are_passed_as_they_are():
    """Rules that deny reach the CLI in its own syntax, commas and brackets included."""
    settings = Settings(claude_disallowed_tools="Bash(git log:*), WebFetch")
    arguments = build_profiles(settings, KEY)["agent"].arguments
    assert ("--disallowedTools", "Bash(git log:*), WebFetch") in itertools.pairwise(arguments)


@pytest.mark.parametrize(("file", "cwd"), [("", "/srv/work"), ("keys.toml", None)])
def test_a_shared_directory_is_nobodys_first(file, cwd):
    """With several callers no process starts in the directory that holds theirs."""
    settings = Settings(claude_cwd="/srv/work", api_keys_file=file)
    assert build_profiles(settings, KEY)["agent"].cwd == cwd


PASSED = {
    "HOME": "/home/me",
    "https_proxy": "http://127.0.0.1:3128",
    "SSL_CERT_FILE": "/etc/ssl/cert.pem",
    "ANTHROPIC_BASE_URL": "http://127.0.0.1:1",
    "AWS_PROFILE": "me",
    "GOOGLE_APPLICATION_CREDENTIALS": "/key.json",
    "CLAUDE_CODE_USE_BEDROCK": "1",
    "CLAUDE_CODE_SKIP_BEDROCK_AUTH": "1",
}


@pytest.mark.parametrize("profile", ["agent", "plain"])
@pytest.mark.parametrize("name", PASSED)
def test_passed(profile, name):
    """The variables that Claude Code needs are passed on."""
    assert build_profiles(Settings(), PASSED)[profile].variables[name] == PASSED[name]


@pytest.mark.parametrize("profile", ["agent", "plain"])
@pytest.mark.parametrize("name", ["API_KEY", "DATABASE_URL", "LD_PRELOAD", "NODE_OPTIONS"])
def test_not_passed(profile, name):
    """No other variable is passed on."""
    variables = build_profiles(Settings(), {**KEY, name: "x"})[profile].variables
    assert name not in variables


@pytest.mark.parametrize(
    ("own", "setting", "expected"),
    [
        ({}, (), None),
        ({}, ("a-1", "b-2"), "a-1,b-2"),
        ({"ANTHROPIC_BETAS": "c-3"}, (), "c-3"),
        ({"ANTHROPIC_BETAS": "c-3"}, ("a-1",), "c-3,a-1"),
    ],
)
def test_betas(own, setting, expected):
    """MESSAGES_BETAS adds betas to those of the environment, for plain processes alone."""
    profiles = build_profiles(Settings(messages_betas=setting), {**KEY, **own})
    assert profiles["plain"].variables.get("ANTHROPIC_BETAS") == expected
    assert profiles["compacting"].variables.get("ANTHROPIC_BETAS") == expected
    assert profiles["agent"].variables.get("ANTHROPIC_BETAS") == own.get("ANTHROPIC_BETAS")


def test_opened_again():
    """A variable that an operator passes on by name overrides the gateway's own."""
    settings = Settings(claude_env_pass=("CLAUDE_CODE_DISABLE_CLAUDE_MDS",))
    environment = {**KEY, "CLAUDE_CODE_DISABLE_CLAUDE_MDS": "0", "CLAUDE_CODE_DISABLE_CRON": "0"}
    variables = build_profiles(settings, environment)["agent"].variables
    assert variables["CLAUDE_CODE_DISABLE_CLAUDE_MDS"] == "0"
    assert variables["CLAUDE_CODE_DISABLE_CRON"] == "1"


def test_compiler():
    """Agents run without a compiler of Claude Code's runtime, unless an operator wants it.

    Plain processes, which run more turns, have one that begins late.
    """
    name = "BUN_JSC_useDFGJIT"
    profiles = build_profiles(Settings(), {})
    assert profiles["agent"].variables[name] == "0"
    assert name not in profiles["plain"].variables
    assert profiles["plain"].variables["BUN_JSC_thresholdForOptimizeAfterWarmUp"] == "5000"
    wanted = build_profiles(Settings(claude_env_pass=(name,)), {name: "1"})
    assert wanted["agent"].variables[name] == "1"


@pytest.mark.parametrize("profile", ["agent", "plain"])
def test_garbage_collection(profile):
    """Garbage is collected every ten seconds and not every second, unless an operator wants it."""
    name = "BUN_GC_TIMER_INTERVAL"
    assert build_profiles(Settings(), {})[profile].variables[name] == "10000"
    wanted = build_profiles(Settings(claude_env_pass=(name,)), {name: "1000"})
    assert wanted[profile].variables[name] == "1000"


def test_sandbox_on_the_command_line():
    """Agents are spawned with the sandbox, whose settings hold only the names of secrets."""
    secrets = {**KEY, "AWS_SECRET_ACCESS_KEY": "aws-secret", "LANG": "C"}
    agent = build_profiles(Settings(claude_sandbox=True), secrets)["agent"]
    given = json.loads(dict(itertools.pairwise(agent.arguments))["--settings"])["sandbox"]
    assert given["enabled"] is given["failIfUnavailable"] is True
    assert given["allowUnsandboxedCommands"] is False
    hidden = [variable["name"] for variable in given["credentials"]["envVars"]]
    assert hidden == ["ANTHROPIC_API_KEY", "AWS_SECRET_ACCESS_KEY"]
    assert "secret" not in " ".join(agent.arguments)
    assert agent.sandboxed
    plain = build_profiles(Settings(claude_sandbox=True), secrets)["plain"]
    assert not plain.sandboxed
    assert "--settings" not in plain.arguments


def test_mode_where_nothing_holds_commands():
    """An agent's initial mode runs no command without asking the gateway."""
    for settings, mode in ((Settings(), "default"), (Settings(claude_sandbox=True), "acceptEdits")):
        agent = build_profiles(settings, KEY)["agent"]
        assert dict(itertools.pairwise(agent.arguments))["--permission-mode"] == agent.mode == mode
        assert agent.reads_only is (mode == "default")
        assert "--permission-prompt-tool" in agent.arguments
