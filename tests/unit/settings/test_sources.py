"""Messages about wrong settings: their values, without secrets, and where those come from."""

from __future__ import annotations

import os
from typing import Any

import pytest

from wrapper import Gateway
from wrapper.settings import Settings, SettingsError, check, explain, load
from wrapper.settings.masking import login_of_url
from wrapper.testing.engine import ScriptedEngine, answer


def test_from_the_environment(mistakes):
    """A wrong value is shown with the environment as its source."""
    (mistake,) = mistakes(PORT="eighty")
    assert mistake == "PORT: must be a whole number (PORT=eighty from the environment)"


def test_from_the_file(env_file, mistakes):
    """A wrong value is shown with the file's path and line, also after Flask has read it."""
    path = env_file("LOG_LEVEL=info\n\nPOOL_SIZE=-3\n")
    source = f"(POOL_SIZE=-3 from {path} line 3)"
    assert mistakes() == [f"POOL_SIZE: must be greater than or equal to 0 {source}"]
    assert os.environ["POOL_SIZE"] == "-3"
    assert mistakes() == [f"POOL_SIZE: must be greater than or equal to 0 {source}"]


def test_environment_over_file(env_file, mistakes):
    """If the environment has another value than the file, it is the source."""
    env_file("PORT=9001\n")
    (mistake,) = mistakes(PORT="eighty")
    assert mistake.endswith("(PORT=eighty from the environment)")


def test_everything_that_is_involved(env_file, mistakes):
    """A mistake between settings names the sources of all that are set."""
    path = env_file("CLAUDE_PERMISSION_MODE=bypassPermissions\n")
    (mistake,) = mistakes(ALLOW_BYPASS="false")
    assert mistake.endswith(
        f"(CLAUDE_PERMISSION_MODE=bypassPermissions from {path} line 1, "
        "ALLOW_BYPASS=false from the environment)"
    )


def test_keywords():
    """Settings that code has made are checked, too, and their source is a keyword."""
    wrong_types: dict[str, Any] = {"cors_origins": "https://a.example", "pool_size": "2"}
    settings = Settings(port=70000, host="0.0.0.0", log_level="loud", **wrong_types)
    with pytest.raises(SettingsError) as caught:
        check(settings)
    port, origins, pool, level, key = caught.value.mistakes
    assert port.endswith("(PORT=70000 from a keyword of Settings)")
    assert origins.startswith("CORS_ORIGINS: must be of the type tuple[str, ...] (")
    assert pool.startswith("POOL_SIZE: must be of the type int (")
    assert level.startswith("LOG_LEVEL: must be one of debug, info, warning, error (")
    assert key.endswith("(HOST=0.0.0.0 from a keyword of Settings)")


def test_gateway_checks_keywords():
    """A gateway refuses wrong settings that an app has made, without an engine and with one."""
    for engine in (None, ScriptedEngine(lambda turn: answer("Hi"))):
        with pytest.raises(SettingsError, match=r"CORS_ORIGINS: 'a.example' has no scheme"):
            Gateway(Settings(cors_origins=("a.example",)), engine=engine)


def test_gateway_reports_everything_at_once(mistakes, tmp_path):
    """Mistakes in values, between settings, and in what they name come together."""
    os.environ.update(PORT="eighty", HOST="0.0.0.0", WRAPPER_ENGINE="claud")
    with pytest.raises(SettingsError) as caught:
        Gateway()
    names = [mistake.partition(":")[0] for mistake in caught.value.mistakes]
    assert names == ["PORT", "API_KEY", "WRAPPER_ENGINE"]
    assert "did you mean claude?" in caught.value.mistakes[2]


def test_nothing_follows_from_a_wrong_value(mistakes):
    """What only follows from a wrong setting is not reported: its value is unknown."""
    (mistake,) = mistakes(HOST="0.0.0.0", API_KEY="two words")
    assert mistake.startswith("API_KEY: must not contain blanks")


def test_names_in_urls_are_no_settings(mistakes):
    """HOST and PORT in the form of a URL have nothing to do with the settings of these names."""
    port, store = mistakes(PORT="eighty", HOST="127.0.0.1", SESSION_STORE="memcached")
    assert store.endswith("(SESSION_STORE=memcached from the environment)")
    assert port.startswith("PORT: ")


SECRETS = [
    {"API_KEY": "hush hush"},
    {"API_KEY": "'hush-hush'"},
    {"HOST": "0.0.0.0", "API_KEY": "  "},
    {"SESSION_STORE": "redi://user:hush@h:1/0"},
    {"SESSION_STORE": "redi://h:1/0?password=hush@hush"},
    {"SESSION_STORE": "hush-hush-hush"},
    {"SESSION_STORE": "redi://:hush/hush@h"},
    {"CLAUDE_TOOLS": "sk-hush"},
    {"CLAUDE_CWD": "/hush-hush-password", "SOME_PASSWORD": "hush-hush-password"},
]


@pytest.mark.parametrize("variables", SECRETS)
def test_secrets_are_masked(mistakes, variables):
    """No message shows a key or a password, wherever it stands."""
    found = mistakes(**variables)
    assert "********" in found[0]
    sources = "".join(mistake.partition(" (")[2] for mistake in found)
    assert "hush" not in sources


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:secret@host:6379/0", "redis://********@host:6379/0"),
        ("redis://:se@cret@host:6379/0", "redis://********@host:6379/0"),
        ("redis://host:6379/0?password=secret", "redis://host:6379/0?********"),
        ("redis://:secret", "********"),
        ("secret@host:6379", "********@host:6379"),
        ("127.0.0.1:6379", "127.0.0.1:6379"),
        ("[::1]:6379", "[::1]:6379"),
        ("memry", "memry"),
        ("a-long-secret", "********"),
        ("redis://a?b@host", "********"),
    ],
)
def test_urls_without_login(url, shown):
    """Of a URL, only what is no secret is shown."""
    assert login_of_url(url) == shown


def test_long_and_unprintable_values(mistakes):
    """A value is shown on one line, escaped and shortened."""
    (mistake,) = mistakes(DEFAULT_PROFILE="a\nb" + "c" * 500)
    assert "\n" not in mistake
    assert len(mistake) < 250


def test_explained_later():
    """Mistakes that are found after loading get the same form."""
    os.environ["USAGE_DB"] = "/x"
    load()
    assert explain(["USAGE_DB: full"]) == ["USAGE_DB: full (USAGE_DB=/x from the environment)"]


def test_checks_get_no_wrong_values(mistakes):
    """The checks of what settings name run without the wrong values, and never crash on them."""
    os.environ.update(CLAUDE_TOOLS="bash", POOL_SIZE="many")
    seen = []

    def further(settings):
        seen.append((settings.pool_size, settings.claude_permission_mode))
        return ["USAGE_DB: full", "CLAUDE_PERMISSION_MODE: take Bash out"]

    os.environ["CLAUDE_PERMISSION_MODE"] = "yolo"
    with pytest.raises(SettingsError) as caught:
        load(further=further)
    assert seen == [(2, "acceptEdits")]
    names = [mistake.partition(":")[0] for mistake in caught.value.mistakes]
    assert names == ["POOL_SIZE", "CLAUDE_PERMISSION_MODE", "CLAUDE_TOOLS", "USAGE_DB"]
