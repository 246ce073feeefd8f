"""The settings, read from the environment and a file, and checked all at once."""

from dataclasses import fields

import pytest

from wrapper import host as machine
from wrapper.settings import (
    PERMISSION_MODES,
    TOOLS,
    Settings,
    SettingsError,
    environment,
    is_loopback,
    load,
    mistakes_of,
)

pytestmark = pytest.mark.packages

SECRET = f"whsec_{'QUJDREVGR0g' * 4}"


@pytest.fixture
def set_env(monkeypatch):
    """Return a function that sets variables; none of the settings is set before or after."""
    for name in [row.name.upper() for row in fields(Settings)] + ["ONLY_IN_FILE"]:
        monkeypatch.setenv(name, "")  # so that monkeypatch removes what a file adds
        monkeypatch.delenv(name)

    def set_all(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all


@pytest.fixture
def no_file(tmp_path):
    return str(tmp_path / "absent.env")


def load_mistakes(env_file):
    with pytest.raises(SettingsError) as caught:
        load(env_file)
    return caught.value.mistakes


def test_defaults(set_env, no_file):
    """An empty environment gives the table's defaults."""
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
        ("CLAUDE_TOOLS", "", TOOLS),
        ("CLAUDE_TOOLS", "None", ()),
        ("CLAUDE_ENV_PASS", "FOO,BAR_*", ("FOO", "BAR_*")),
        ("CLAUDE_ENV_PASS", "", ()),
        ("LOG_LEVEL", "warning", "warning"),
    ],
)
def test_values(set_env, no_file, name, text, value):
    """Each kind of setting is parsed from its text."""
    set_env(**{name: text})
    assert getattr(load(no_file), name.lower()) == value


@pytest.mark.parametrize("name", ["CLAUDE_TOOLS", "CLAUDE_ENV_PASS"])
def test_lists_may_hold_spaces(set_env, no_file, name):
    """Spaces after the commas of a list are not part of the names."""
    set_env(**{name: "Read, Bash"})
    assert getattr(load(no_file), name.lower()) == ("Read", "Bash")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PORT", "eighty"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("DEFAULT_PROFILE", "other"),
        ("POOL_SIZE", "-1"),
        ("BOOT_TIMEOUT", "0"),
        ("MAX_CONCURRENT_TURNS", "-1"),
        ("MAX_QUEUE", "-1"),
        ("QUEUE_TIMEOUT", "0"),
        ("MAX_TIMEOUT", "0"),
        ("BACKGROUND_TIMEOUT", "0"),
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
    """An invalid value is refused with the name of its setting."""
    set_env(**{name: text})
    (mistake,) = load_mistakes(no_file)
    assert mistake.startswith(f"{name}: ")
    assert len(mistake) > len(f"{name}: ")


def test_all_mistakes_at_once(set_env, no_file):
    """All mistakes are reported together, so that they can be fixed together."""
    set_env(PORT="x", POOL_SIZE="-3", LOG_LEVEL="loud")
    settings = {mistake.partition(":")[0] for mistake in load_mistakes(no_file)}
    assert settings == {"PORT", "POOL_SIZE", "LOG_LEVEL"}


def test_mistakes_in_the_message(set_env, no_file):
    """The error's message lists every mistake."""
    set_env(PORT="x", POOL_SIZE="-3")
    with pytest.raises(SettingsError, match=r"PORT.*; POOL_SIZE|POOL_SIZE.*; PORT"):
        load(no_file)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "gateway.example"])
def test_open_host_needs_key(set_env, no_file, host):
    """A host that other machines can reach needs a key."""
    set_env(HOST=host)
    assert [m.partition(":")[0] for m in load_mistakes(no_file)] == ["API_KEY"]
    set_env(HOST=host, API_KEY="k")
    assert load(no_file).host == host


def test_bypass_needs_confirmation(set_env, no_file):
    """Permissions are bypassed only if the operator confirms it."""
    set_env(CLAUDE_PERMISSION_MODE="bypassPermissions")
    assert load_mistakes(no_file)[0].startswith("CLAUDE_PERMISSION_MODE: ")
    set_env(ALLOW_BYPASS="true")
    assert load(no_file).claude_permission_mode == "bypassPermissions"


def test_working_directory_must_exist(set_env, no_file, tmp_path):
    """A working directory that does not exist is refused."""
    set_env(CLAUDE_CWD=str(tmp_path / "nowhere"))
    assert load_mistakes(no_file)[0].startswith("CLAUDE_CWD: ")
    set_env(CLAUDE_CWD=str(tmp_path))
    assert load(no_file).claude_cwd == str(tmp_path)


def test_mistakes_between_settings_come_together(tmp_path):
    """Mistakes between settings are reported all at once, too."""
    settings = Settings(
        host="0.0.0.0",
        claude_permission_mode="bypassPermissions",
        claude_cwd=str(tmp_path / "nowhere"),
    )
    assert len(mistakes_of(settings)) == 3
    assert mistakes_of(Settings()) == []


@pytest.mark.parametrize(
    ("url", "more", "mistake"),
    [
        ("https://a.example/hook", {}, "WEBHOOK_SECRET: must be whsec_"),
        ("https://a.example/hook", {"webhook_secret": SECRET}, ""),
        ("http://a.example/hook", {"webhook_secret": SECRET}, "WEBHOOK_URL: must begin with"),
        ("a.example", {"webhook_secret": SECRET}, "WEBHOOK_URL: is no URL"),
        (
            "http://[::1]:8080/",
            {"webhook_secret": SECRET, "webhook_private_hosts": ("::1",)},
            "",
        ),
    ],
)
def test_webhook(url, more, mistake):
    """A webhook needs a secret, and TLS unless its host is named as private."""
    mistakes = mistakes_of(Settings(webhook_url=url, **more))
    assert [each[: len(mistake)] for each in mistakes] == [mistake] * bool(mistake)
    assert SECRET not in repr(Settings(webhook_url=url, **more))


@pytest.mark.parametrize("mode", [m for m in PERMISSION_MODES if m != "bypassPermissions"])
def test_harmless_modes(mode):
    """Every other permission mode needs no confirmation."""
    assert mistakes_of(Settings(claude_permission_mode=mode)) == []


def test_file_fills_in(set_env, tmp_path):
    """A file sets what the environment does not set."""
    file = tmp_path / "gateway.env"
    file.write_text("PORT=9001\nDEFAULT_MODEL=haiku\n")
    set_env(PORT="9002")
    settings = load(str(file))
    assert (settings.port, settings.default_model) == (9002, "haiku")


def test_env_file_of_the_working_directory(set_env, tmp_path, monkeypatch):
    """The default file is .env in the working directory."""
    (tmp_path / ".env").write_text("DEFAULT_MODEL=opus\n")
    monkeypatch.chdir(tmp_path)
    assert load().default_model == "opus"
    assert environment()["DEFAULT_MODEL"] == "opus"


def test_no_env_file_of_a_parent(set_env, tmp_path, monkeypatch):
    """A .env in a parent directory is not read."""
    (tmp_path / ".env").write_text("DEFAULT_MODEL=opus\n")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert load() == Settings()


def test_environment_wins(set_env, tmp_path):
    """The merged environment has the file's variables, and the environment's own win."""
    file = tmp_path / "gateway.env"
    file.write_text("ONLY_IN_FILE=1\nDEFAULT_MODEL=haiku\nVALUELESS\n")
    set_env(DEFAULT_MODEL="opus")
    merged = environment(str(file))
    assert (merged["ONLY_IN_FILE"], merged["DEFAULT_MODEL"]) == ("1", "opus")
    assert "VALUELESS" not in merged


def test_key_stays_secret():
    """The key is not in the settings' repr."""
    assert "hush-hush" not in repr(Settings(api_key="hush-hush"))


def test_every_setting_has_a_meaning():
    """Each setting has a sentence that says what it means."""
    assert all(row.metadata["meaning"].endswith(".") for row in fields(Settings))


def test_default_tools():
    """By default the agent profile has Claude Code's tools."""
    assert Settings().claude_tools == TOOLS


GIB = 1024**3


@pytest.mark.parametrize(
    ("memory", "cores", "turns"),
    [
        (64 * GIB, 2, 24),  # limited by the cores
        (4 * GIB, 2, 13),  # 16 processes beside the gateway, 3 of them warm
        (1 * GIB, 2, 1),
        (GIB // 4, 2, 1),
        (None, 1, 12),
    ],
)
def test_turns_at_once(monkeypatch, memory, cores, turns):
    """Unless set, as many turns run at once as memory and cores allow; at least one."""
    monkeypatch.setattr(machine, "memory", lambda: memory)
    monkeypatch.setattr(machine, "cores", lambda: cores)
    assert Settings().max_concurrent_turns == turns
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
    """Only names and addresses of this machine itself are loopback."""
    assert is_loopback(host) is local


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "~/.local/state/claude-code-gateway/sessions"),
        ({"claude_user": "agents"}, "/var/lib/claude-code-gateway-sessions"),
        ({"claude_user": "agents", "session_dir": "/srv/sessions"}, "/srv/sessions"),
    ],
)
def test_default_session_dir(given, expected):
    """Session directories are in the gateway's state, or where CLAUDE_USER can enter."""
    assert Settings(**given).session_dir == expected
