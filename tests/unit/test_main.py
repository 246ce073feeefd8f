"""The program: its commands, arguments and port, and where gunicorn's settings come from."""

from __future__ import annotations

import os
import runpy
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

import wrapper
from wrapper.__main__ import program
from wrapper.cli.commands import app_for_flask
from wrapper.server import application, ports
from wrapper.server.application import choose_port
from wrapper.server.config import address, configuration
from wrapper.settings import Settings, SettingsError
from wrapper.testing import demo

pytestmark = pytest.mark.packages

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _empty(monkeypatch, tmp_path):
    """Settings come only from the test, and are restored after it."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOST", "API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PORT", "0")
    claude = tmp_path / "claude"
    claude.write_text("#!/bin/sh\necho '2.1.400 (Claude Code)'\n")
    claude.chmod(0o755)
    monkeypatch.setenv("CLAUDE_CLI_PATH", str(claude))


@pytest.fixture
def taken():
    """A port that something listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def served(monkeypatch):
    """The arguments with which `serve` was called."""
    calls: list[tuple[int | None, bool]] = []
    monkeypatch.setattr(application, "serve", lambda *arguments: calls.append(arguments))
    return calls


def run(*arguments):
    return CliRunner().invoke(program, arguments, prog_name="claude-code-gateway")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), (None, False)),
        (("0",), (0, False)),
        (("65535",), (65535, False)),
        (("serve",), (None, False)),
        (("serve", "8000"), (8000, False)),
        (("--reload",), (None, True)),
        (("1", "--reload"), (1, True)),
    ],
)
def test_serves_by_default(served, arguments, expected):
    """Without a command the program serves, on PORT if one is given."""
    assert run(*arguments).exit_code == 0
    assert served == [expected]


@pytest.mark.parametrize("wrong", ["eighty", "65536", "80.0", "", "²", "9" * 5000])
def test_wrong_port(served, wrong):
    """An invalid PORT is refused with its text and the range of ports, and with status 2."""
    result = run("serve", wrong)
    assert result.exit_code == 2
    assert f"{wrong[:20]!r} is not a port; give a number from 0 to 65535" in result.stderr
    assert len(result.stderr) < 300
    assert not served


@pytest.mark.parametrize("arguments", [("docter",), ("-1",), ("--relaod",), ("",)])
def test_unknown_command(served, arguments):
    """A misspelt command or option is refused, and nothing is served."""
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("Error: No such ")
    assert not served


def test_version(served):
    """--version prints the name and the version."""
    assert run("--version").output == f"claude-code-gateway {wrapper.__version__}\n"


def test_help(served):
    """--help lists every command with a whole sentence, and how to complete them in a shell."""
    for option in ("--help", "-h"):
        lines = run(option).output.splitlines()
        listed = lines[lines.index("Commands:") + 1 :]
        commands = [line for line in listed[: listed.index("")] if line.startswith("  ")]
        assert [line.split()[0] for line in commands] == [
            *("serve", "demo", "worker", "batches", "doctor", "smoke", "keys", "models", "settings")
        ]
        assert not [line for line in commands if line.endswith("...")]
        assert '  eval "$(_CLAUDE_CODE_GATEWAY_COMPLETE=bash_source claude-code-gateway)"' in [
            line[2:] for line in lines
        ]
    assert not served


@pytest.mark.parametrize(
    ("typed", "completed"),
    [("", "serve"), ("do", "doctor"), ("keys re", "revoke"), ("--v", "--version")],
)
def test_completion(served, typed, completed):
    """A shell completes commands and options, and completing them serves nothing."""
    words = f"claude-code-gateway {typed}"
    variables = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    variables["_CLAUDE_CODE_GATEWAY_COMPLETE"] = "bash_complete"
    result = CliRunner().invoke(program, env=variables, prog_name="claude-code-gateway")
    assert f"plain,{completed}" in result.output.splitlines()
    assert not served


@pytest.mark.parametrize("command", ["settings", "models", "doctor"])
def test_commands_with_wrong_settings(monkeypatch, command):
    """With wrong settings a command names them all, and there is no traceback."""
    monkeypatch.setenv("POOL_SIZE", "-1")
    monkeypatch.setenv("PORT", "eighty")
    result = run(command)
    assert isinstance(result.exception, SystemExit)
    assert result.exit_code == 1
    assert "POOL_SIZE: " in result.output
    assert "PORT: " in result.output


def test_settings_beside_a_missing_file(monkeypatch):
    """`settings` prints valid settings, and then why the gateway does not start with them."""
    monkeypatch.setenv("API_KEYS_FILE", "missing.toml")
    result = run("settings")
    assert result.exit_code == 1
    assert "API_KEYS_FILE=missing.toml" in result.stdout.splitlines()
    assert "missing.toml does not exist; `claude-code-gateway keys new NAME` makes it" in (
        result.stderr
    )


def test_key_of_a_missing_file(monkeypatch, tmp_path):
    """`keys new` makes the file that API_KEYS_FILE names, whatever other settings say."""
    monkeypatch.setenv("API_KEYS_FILE", "team/keys.toml")
    monkeypatch.setenv("PORT", "eighty")
    assert run("keys", "new", "alice").exit_code == 0
    assert run("keys", "list").stdout == "alice\n"
    assert (tmp_path / "team" / "keys.toml").exists()


def test_unusable_file(monkeypatch, tmp_path):
    """A file that the system refuses is named with the reason, without a traceback."""

    def fail(port, reload):
        raise PermissionError(13, "Permission denied", "/some/file")

    monkeypatch.setattr(application, "serve", fail)
    result = run()
    assert (result.exit_code, result.stderr) == (1, "Error: /some/file: Permission denied\n")


def test_free_port_is_kept(capsys):
    """A free port is used, and nothing is printed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    choose_port(port)
    assert os.environ["PORT"] == str(port)
    assert capsys.readouterr().err == ""


def test_taken_port_moves_on(capsys, taken):
    """Instead of a taken port a higher one is used, which one line says."""
    choose_port(taken)
    chosen = int(os.environ["PORT"])
    assert taken < chosen <= taken + ports.FURTHER
    assert capsys.readouterr().err == f"Port {taken} is taken; serving on {chosen}.\n"


@pytest.mark.parametrize("variable", ["GUNICORN_FD", "LISTEN_FDS"])
def test_inherited_port(monkeypatch, capsys, taken, variable):
    """A server that inherits the socket of a port looks for no other one."""
    monkeypatch.setenv(variable, "3")
    choose_port(taken)
    assert os.environ["PORT"] == str(taken)
    assert capsys.readouterr().err == ""


def test_no_further_than_twenty(monkeypatch):
    """After 20 further ports the search ends, and the error names the range."""
    tried = []

    def in_use(host, port):
        tried.append(port)
        raise OSError(98, "Address already in use")

    monkeypatch.setattr(ports, "_bind", in_use)
    with pytest.raises(SystemExit, match="PORT: 8000 to 8020 are taken"):
        choose_port(8000)
    assert tried == list(range(8000, 8021))
    tried.clear()
    assert ports.first_free("127.0.0.1", 65530) is None
    assert tried == list(range(65530, 65536))


def test_other_reasons_do_not_move_on(monkeypatch):
    """A port that cannot be bound for another reason is kept, and the server says why."""

    def denied(host, port):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(ports, "_bind", denied)
    assert ports.first_free("127.0.0.1", 80) == 80
    why = "Permission denied; set PORT to 1024 or higher: lower ones need root"
    assert ports.why_not("127.0.0.1", 80) == why


@pytest.mark.parametrize(("host", "text"), [("127.0.0.1", "127.0.0.1:1"), ("::1", "[::1]:1")])
def test_address(host, text):
    """gunicorn gets HOST:PORT, with brackets around an IPv6 address."""
    assert address(Settings(host=host, port=1)) == text


def test_one_source_of_settings():
    """gunicorn.conf.py and the program set the same."""
    ours = configuration()
    theirs = runpy.run_path(str(ROOT / "gunicorn.conf.py"))
    # These are new objects each time.
    hooks = {"on_starting", "nworkers_changed", "when_ready", "logger_class"}
    assert {name: theirs[name] for name in ours.keys() - hooks} == {
        name: ours[name] for name in ours.keys() - hooks
    }
    assert hooks <= theirs.keys()


def test_wrong_settings_are_refused(monkeypatch):
    """Wrong settings prevent the start; all are named, without a traceback."""
    monkeypatch.setenv("POOL_SIZE", "-1")
    monkeypatch.setenv("PORT", "eighty")
    with pytest.raises(SystemExit) as ended:
        configuration()
    assert "POOL_SIZE: " in str(ended.value.code)
    assert "PORT: " in str(ended.value.code)


def test_no_app_without_settings():
    """With wrong settings a WSGI server gets their error instead of an app."""
    with pytest.raises(SettingsError, match="PORT: wrong"):
        app_for_flask(SettingsError(["PORT: wrong"]))


def test_demo_environment(tmp_path):
    """The demo's gateway gets PATH and PORT, and no variable that leads to an account."""
    keys = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "AWS_PROFILE")
    routes = (
        "CLAUDE_CODE_USE_BEDROCK",
        "CLAUDE_ENV_PASS",
        "API_KEY",
        "HTTPS_PROXY",
        "HOME",
        "HOST",
    )
    users = dict.fromkeys((*keys, *routes), "the user's own")
    passed = {"PATH": "/bin", "PORT": "8123"}
    environment = demo.variables(tmp_path, "http://127.0.0.1:1", {**users, **passed})
    assert {name: environment[name] for name in passed} == passed
    assert environment["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:1"
    assert environment["HOST"] == "127.0.0.1"
    assert "the user's own" not in environment.values()
