"""Values: what is accepted in other forms, and what is refused with a suggestion."""

from __future__ import annotations

import os
from dataclasses import fields

import pytest

from wrapper.settings import Settings, load

NAMES = [row.name.upper() for row in fields(Settings)]
WORDS = [
    ("LOG_LEVEL", "INFO", "info"),
    ("LOG_LEVEL", " Warning ", "warning"),
    ("LOG_FORMAT", "JSON", "json"),
    ("LEGACY_MODELS", "Strict", "strict"),
    ("DEFAULT_PROFILE", "PLAIN", "plain"),
    ("CLAUDE_PERMISSION_MODE", "acceptedits", "acceptEdits"),
    ("SESSION_STORE", "None", "none"),
    ("WRAPPER_ENGINE", "Claude", "claude"),
    ("CORS_ORIGINS", "NONE", ("none",)),
    ("LOG_PROMPTS", "On", True),
    ("LOG_PROMPTS", "NO", False),
    ("PORT", " 9001 ", 9001),
    ("HOST", "127.0.0.1 ", "127.0.0.1"),
    ("HOST", "[::1]", "::1"),
]


@pytest.mark.parametrize("name", NAMES)
def test_empty_is_unset(name):
    """An empty value is the same as none, for every setting."""
    os.environ[name] = ""
    assert load() == Settings()


@pytest.mark.parametrize(("name", "text", "value"), WORDS)
def test_case_and_blanks(name, text, value):
    """Letters' case, blanks around a value, and brackets of an address do not count."""
    os.environ[name] = text
    assert getattr(load(), name.lower()) == value


REFUSED = [
    ("CLAUDE_TOOLS", "read,bash", "Claude Code has no tool read, bash; did you mean Read,Bash?"),
    ("CLAUDE_TOOLS", "Read,Bsh", "has no tool Bsh; did you mean Bash?"),
    ("CLAUDE_TOOLS", "Read Bash", "has no tool Read Bash"),
    ("CLAUDE_ALLOWED_TOOLS", "read bash(git log:*)", "did you mean Read,Bash?"),
    ("CLAUDE_DISALLOWED_TOOLS", "webfetch(domain:x.y)", "did you mean WebFetch?"),
    ("CLAUDE_SETTING_SOURCES", "users", "users is none of user, project, local; did you mean user"),
    ("CORS_ORIGINS", "a.example", "'a.example' has no scheme; write scheme://host"),
    ("CORS_ORIGINS", "localhost:3000", "'localhost:3000' has no scheme"),
    ("CORS_ORIGINS", '["https://a.example","b.example"]', "'b.example' has no scheme"),
    ("API_KEY", "two words", "must not contain blanks"),
    ("API_KEY", " key", "must not contain blanks"),
    ("API_KEY", "key\n", "must not contain blanks"),
    ("API_KEY", "  ", "must not contain blanks"),
    ("API_KEY", '"key"', "is in quotes"),
    ("LOG_LEVEL", "infos", "must be one of debug, info, warning, error; did you mean info?"),
    ("SESSION_STORE", "memry", "did you mean memory?"),
    ("IGNORE_PARAMS", "logprob", "did you mean logprobs?"),
    ("MESSAGES_BETAS", "files api", "'files api' is not the name of a beta"),
    ("LOG_PROMPTS", "perhaps", "must be true or false"),
    ("PORT", "80.5", "must be a whole number"),
    *(
        (name, "~nobody-of-this-name/x", "no home directory for ~nobody-of-this-name; write")
        for name in (
            *("API_KEYS_FILE", "CLAUDE_SKILLS_DIR", "FILES_DIR", "JOBS_DB", "MCP_CONFIG"),
            *("SESSION_DIR", "TRIALS_DIR", "USAGE_DB"),
        )
    ),
    ("CLIENT_TIMEOUT", "2000001", "must be less than or equal to 2000000"),
    ("GRACEFUL_TIMEOUT", "2000001", "must be less than or equal to 2000000"),
    ("MCP_TIMEOUT", "2147483648", "must be less than or equal to 2147483647"),
    ("SESSION_TTL", "10000000000000", "must be less than or equal to 3155760000"),
    ("MAX_JOBS_OF_KEY", "1" + "0" * 19, "must be less than or equal to"),
]


@pytest.mark.parametrize(("name", "text", "reason"), REFUSED)
def test_refused(mistakes, name, text, reason):
    """A wrong value is refused, with what was probably meant."""
    (mistake,) = mistakes(**{name: text})
    assert mistake.startswith(f"{name}: ")
    assert reason in mistake


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("CLAUDE_TOOLS", "Read,Task,NotebookEdit,mcp__shop__order"),
        ("CLAUDE_TOOLS", "default"),
        ("CLAUDE_ALLOWED_TOOLS", "Read(./**), WebFetch(domain:a.example) mcp__shop"),
        ("CLAUDE_DISALLOWED_TOOLS", "Bash(rm *),Write"),
        ("CLAUDE_SETTING_SOURCES", "user, project"),
    ],
)
def test_tools_of_claude_code(name, text):
    """All tools of Claude Code and of MCP servers may be named, with patterns in rules."""
    os.environ[name] = text
    assert load() != Settings()
