"""The settings: read from the environment and a file, checked all at once."""

from dataclasses import fields

import pytest

from wrapper import host as capacity
from wrapper.settings import (
    PERMISSION_MODES,
    TOOLS,
    Settings,
    SettingsError,
    environment,
    is_loopback,
    load,
)

pytestmark = pytest.mark.packages


@pytest.fixture
def set_env(monkeypatch):
    """Set variables in an environment that holds none of the settings, nor keeps any."""
    for name in [row.name.upper() for row in fields(Settings)] + ["ONLY_IN_FILE"]:
        monkeypatch.setenv(name, "")  # else what a file adds would stay after the test
        monkeypatch.delenv(name)

    def set_all(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all


@pytest.fixture
def no_file(tmp_path):
    return str(tmp_path / "absent.env")


def mistakes_of(env_file):
    with pytest.raises(SettingsError) as caught:
        load(env_file)
    return caught.value.mistakes


def test_defaults(set_env, no_file):
    """An empty environment gives the defaults of the dataclass."""
    assert load(no_file) == Settings()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("PORT", "0", 0),
        ("PORT", "65535", 65535),
        ("DEFAULT_PROFILE", "plain", "plain"),
        ("POOL_SIZE", "0", 0),
        ("ALLOW_BYPASS", "true", True),
        ("CORS_ORIGINS", "https://a.x, https://b.x,", ("https://a.x", "https://b.x")),
        ("CORS_ORIGINS", '["https://a.example","*"]', ("https://a.example", "*")),
        ("CORS_ORIGINS", "", ()),
        ("CLAUDE_TOOLS", "Read, Bash", ("Read", "Bash")),
        ("CLAUDE_TOOLS", "none", ()),
        ("CLAUDE_TOOLS", "", ()),
        ("CLAUDE_ENV_PASS", "FOO,BAR_*", ("FOO", "BAR_*")),
        ("CLAUDE_ENV_PASS", "", ()),
        ("LOG_LEVEL", "warning", "warning"),
    ],
)
def test_values(set_env, no_file, name, text, value):
    """Each kind of setting is read from its text."""
    set_env(**{name: text})
    assert getattr(load(no_file), name.lower()) == value


@pytest.mark.parametrize("name", ["CLAUDE_TOOLS", "CLAUDE_ENV_PASS"])
def test_lists_may_hold_spaces(set_env, no_file, name):
    """Spaces after the commas of a list belong to no name in it."""
    set_env(**{name: "ONE, TWO"})
    assert getattr(load(no_file), name.lower()) == ("ONE", "TWO")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PORT", "eighty"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("DEFAULT_MODEL", ""),
        ("DEFAULT_PROFILE", "other"),
        ("POOL_SIZE", "-1"),
        ("BOOT_TIMEOUT", "0"),
        ("MAX_CONCURRENT_TURNS", "-1"),
        ("MAX_QUEUE", "-1"),
        ("QUEUE_TIMEOUT", "0"),
        ("MAX_TIMEOUT", "0"),
        ("GRACEFUL_TIMEOUT", "0"),
        ("CLAUDE_CODE_MAX_RETRIES", "-1"),
        ("ALLOW_BYPASS", "perhaps"),
        ("CLAUDE_PERMISSION_MODE", "yolo"),
        ("CORS_ORIGINS", '["https://a.example"'),
        ("CORS_ORIGINS", "https://a.example/"),
        ("CORS_ORIGINS", "https://.*"),
        ("CORS_ORIGINS", "none,https://a.example"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_wrong_values(set_env, no_file, name, text):
    """A value that cannot be is refused by the name of its setting."""
    set_env(**{name: text})
    (mistake,) = mistakes_of(no_file)
    assert mistake.startswith(f"{name}: ")
    assert len(mistake) > len(f"{name}: ")


def test_all_mistakes_at_once(set_env, no_file):
    """All mistakes are told together, so that they can be mended together."""
    set_env(PORT="x", POOL_SIZE="-3", LOG_LEVEL="loud")
    named = {mistake.partition(":")[0] for mistake in mistakes_of(no_file)}
    assert named == {"PORT", "POOL_SIZE", "LOG_LEVEL"}


def test_mistakes_in_the_message(set_env, no_file):
    """The error's own text holds every mistake."""
    set_env(PORT="x", POOL_SIZE="-3")
    with pytest.raises(SettingsError, match=r"PORT.*; POOL_SIZE|POOL_SIZE.*; PORT"):
        load(no_file)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "gateway.example"])
def test_open_host_needs_key(set_env, no_file, host):
    """A host that other machines reach is refused without a key, and taken with one."""
    set_env(HOST=host)
    assert [m.partition(":")[0] for m in mistakes_of(no_file)] == ["API_KEY"]
    set_env(HOST=host, API_KEY="k")
    assert load(no_file).host == host


def test_bypass_needs_a_word(set_env, no_file):
    """Permissions are bypassed only where the operator confirms it."""
    set_env(CLAUDE_PERMISSION_MODE="bypassPermissions")
    assert mistakes_of(no_file)[0].startswith("CLAUDE_PERMISSION_MODE: ")
    set_env(ALLOW_BYPASS="true")
    assert load(no_file).claude_permission_mode == "bypassPermissions"


def test_working_directory_must_exist(set_env, no_file, tmp_path):
    """A working directory that is not there is refused."""
    set_env(CLAUDE_CWD=str(tmp_path / "nowhere"))
    assert mistakes_of(no_file)[0].startswith("CLAUDE_CWD: ")
    set_env(CLAUDE_CWD=str(tmp_path))
    assert load(no_file).claude_cwd == str(tmp_path)


def test_mistakes_between_settings_come_together(tmp_path):
    """What is wrong between the settings is told all at once, too."""
    settings = Settings(
        host="0.0.0.0",
        claude_permission_mode="bypassPermissions",
        claude_cwd=str(tmp_path / "nowhere"),
    )
    assert len(settings.mistakes()) == 3
    assert Settings().mistakes() == []


@pytest.mark.parametrize("mode", [m for m in PERMISSION_MODES if m != "bypassPermissions"])
def test_harmless_modes(mode):
    """Every other permission mode needs no confirmation."""
    assert Settings(claude_permission_mode=mode).mistakes() == []


def test_file_fills_in(set_env, tmp_path):
    """A file says what the environment leaves open, and does not overrule it."""
    file = tmp_path / "gateway.env"
    file.write_text("PORT=9001\nDEFAULT_MODEL=haiku\n")
    set_env(PORT="9002")
    settings = load(str(file))
    assert (settings.port, settings.default_model) == (9002, "haiku")


def test_env_file_of_the_working_directory(set_env, tmp_path, monkeypatch):
    """Without a name, the file is the .env of the working directory."""
    (tmp_path / ".env").write_text("DEFAULT_MODEL=opus\n")
    monkeypatch.chdir(tmp_path)
    assert load().default_model == "opus"
    assert environment()["DEFAULT_MODEL"] == "opus"


def test_no_env_file_of_a_parent(set_env, tmp_path, monkeypatch):
    """A .env further up is not read."""
    (tmp_path / ".env").write_text("DEFAULT_MODEL=opus\n")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert load() == Settings()


def test_environment_wins(set_env, tmp_path):
    """The merged environment holds the file's variables, but its own come first."""
    file = tmp_path / "gateway.env"
    file.write_text("ONLY_IN_FILE=1\nDEFAULT_MODEL=haiku\nVALUELESS\n")
    set_env(DEFAULT_MODEL="opus")
    merged = environment(str(file))
    assert (merged["ONLY_IN_FILE"], merged["DEFAULT_MODEL"]) == ("1", "opus")
    assert "VALUELESS" not in merged


def test_key_stays_secret():
    """The key does not appear where settings are printed."""
    assert "hush-hush" not in repr(Settings(api_key="hush-hush"))


def test_every_setting_has_a_meaning():
    """Each setting says what it means."""
    assert all(row.metadata["meaning"].endswith(".") for row in fields(Settings))


def test_default_tools():
    """The agent profile has Claude Code's tools unless told otherwise."""
    assert Settings().claude_tools == TOOLS


GIB = 1024**3


@pytest.mark.parametrize(
    ("memory", "cores", "places"),
    [
        (64 * GIB, 2, 24),  # the cores are what bounds it
        (4 * GIB, 2, 13),  # 16 processes beside the gateway, of which 3 are kept warm
        (1 * GIB, 2, 1),
        (GIB // 4, 2, 1),
        (None, 1, 12),
    ],
)
def test_places(monkeypatch, memory, cores, places):
    """As many turns run at once as memory and cores allow, at least one, unless it is set."""
    monkeypatch.setattr(capacity, "memory", lambda: memory)
    monkeypatch.setattr(capacity, "cores", lambda: cores)
    assert Settings().max_concurrent_turns == places
    assert Settings(max_concurrent_turns=99).max_concurrent_turns == 99


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("app.localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("", False),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.example", False),
        ("notlocalhost", False),
        ("127.0.0.1.example", False),
        ("127.1", False),
    ],
)
def test_loopback(host, local):
    """Only names and addresses that mean this machine itself are loopback."""
    assert is_loopback(host) is local


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "~/.local/state/claude-code-gateway/sessions"),
        ({"claude_user": "agents"}, "/var/lib/claude-code-gateway-sessions"),
        ({"claude_user": "agents", "session_dir": "/srv/sessions"}, "/srv/sessions"),
    ],
)
def test_where_sessions_work(given, expected):
    """Sessions work below the gateway's state, or where another user can get to."""
    assert Settings(**given).session_dir == expected
