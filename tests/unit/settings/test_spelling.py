"""Misspelt names: refused in `.env`, and a warning in the environment."""

from __future__ import annotations

import os
from dataclasses import fields

import pytest

from wrapper.settings import Settings, did_you_mean, load, warnings
from wrapper.settings.spelling import misspelt

NAMES = [row.name.upper() for row in fields(Settings)]
MISSPELT = [
    ("APIKEY", "API_KEY"),
    ("api_key", "API_KEY"),
    ("API_KYE", "API_KEY"),
    ("API_KEYY", "API_KEY"),
    ("API_KEY_FILE", "API_KEYS_FILE"),
    ("PROT", "PORT"),
    ("PORTS", "PORT"),
    ("LOGLEVEL", "LOG_LEVEL"),
    ("LOG_LEVLE", "LOG_LEVEL"),
    ("CORS_ORIGIN", "CORS_ORIGINS"),
    ("MAX_SESSION", "MAX_SESSIONS"),
    ("REDIS_URI", "REDIS_URL"),
    ("CLAUDE_ALLOW_TOOLS", "CLAUDE_ALLOWED_TOOLS"),
    ("CLAUDE_TOOL", "CLAUDE_TOOLS"),
]
FOREIGN = [
    *("HOSTNAME", "PATH", "HOME", "POST", "PWD", "LOGNAME", "USER", "SESSION_MANAGER", "LANG"),
    *("API_KEY_2", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "DB_POOL_SIZE", "LOG_FORMATTER"),
    *("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_MAX_OUTPUT_TOKENS", "CLAUDE_CONFIG_DIR"),
    *("CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_ENV_FILE", "SUPPORT", "TIMEOUT", "FLASK_APP"),
    *("DATABASE_URL", "REDIS_HOST", "SESSION_SECRET", "DEFAULT_REGION", "GUNICORN_CMD_ARGS"),
]


@pytest.mark.parametrize(("name", "setting"), MISSPELT)
def test_misspelt(name, setting):
    """A name that differs a little from a setting's is recognised."""
    assert misspelt(name, NAMES) == setting


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign(name):
    """Other programs' names are not taken for misspelt ones."""
    assert misspelt(name, NAMES) is None


def test_in_the_file(env_file, mistakes):
    """A misspelt name in the file stops the start; the message has its line and no value."""
    path = env_file("LOG_LEVEL=info\nAPIKEY=hush-hush\nDATABASE_URL=x\n")
    (mistake,) = mistakes()
    assert mistake.startswith(f"{path} line 2: APIKEY is not a setting; did you mean API_KEY? ")
    assert "hush" not in mistake


def test_in_the_environment():
    """A misspelt name in the environment is a warning, because it may be another program's."""
    os.environ["APIKEY"] = "hush-hush"
    assert load() == Settings()
    (warning,) = warnings()
    assert warning == "APIKEY in the environment is not a setting; did you mean API_KEY?"


@pytest.mark.parametrize("text", ["the-key", ""])
def test_both_names(env_file, text):
    """If the setting is set, too, the other name is another program's."""
    env_file(f"APIKEY=hush-hush\nAPI_KEY={text}\n")
    assert load().api_key == text
    assert warnings() == []


def test_no_warnings(env_file):
    """Settings, and what the file sets, lead to no warning."""
    env_file("PORT=9001\nFOO=1\n")
    load()
    assert warnings() == []


def test_empty_tools_warn():
    """An empty list of tools means the default, which a warning says."""
    os.environ["CLAUDE_TOOLS"] = ""
    assert load() == Settings()
    (warning,) = warnings()
    assert warning.startswith("CLAUDE_TOOLS is empty, which means its default")


def test_suggestions():
    """The suggestion names what was probably meant, and nothing if nothing is like it."""
    assert did_you_mean(["read", "bash"], ["Read", "Bash"]) == "; did you mean Read,Bash?"
    assert did_you_mean(["xyz"], ["Read", "Bash"]) == ""
