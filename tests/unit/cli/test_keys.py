"""The commands `gateway keys new`, `list` and `revoke`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from flask import Flask
from flask.cli import FlaskGroup, ScriptInfo

from wrapper import create_app
from wrapper.auth.key_file import KeyFile, KeysError, hash_of
from wrapper.cli.commands import app_for_flask
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine

ROOT = Path(__file__).parents[3]


@pytest.fixture(params=["gateway", "commands alone"])
def run(request, tmp_path, monkeypatch):
    """Return a function that runs a keys command, with and without a working gateway."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("API_KEYS_FILE", "keys.toml")
    apps = {
        "gateway": lambda: create_app(Settings(), engine=ScriptedEngine()),
        "commands alone": lambda: app_for_flask(KeysError(["there is no keys.toml"])),
    }
    info = ScriptInfo(create_app=apps[request.param])
    runner = Flask("x").test_cli_runner()

    def run(*arguments):
        group = FlaskGroup(load_dotenv=False)
        return runner.invoke(group, ("gateway", "keys", *arguments), obj=info, prog_name="flask")

    return run


def test_new(run):
    """`new` makes the file and prints the key alone on stdout, and the rest on stderr."""
    result = run("new", "alice")
    assert result.exit_code == 0
    assert re.fullmatch(r"sk-[\w-]{43}\n", result.stdout)
    assert KeyFile("keys.toml").find(result.stdout.strip().encode())
    assert "keys.toml" in result.stderr
    assert result.stdout.strip() not in result.stderr


def test_list(run):
    """`list` prints a line for each key, with its ceilings and without its hash."""
    hashes = [hash_of(name) for name in ("alice", "bob", "carol")]
    Path("keys.toml").write_text(
        f"[keys.alice]\nsha256 = '{hashes[0]}'\n"
        f"[keys.bob]\nsha256 = '{hashes[1]}'\nmodels = ['haiku', 'sonnet-*']\ntools = []\n"
        f"admin = true\nusd_per_day = 5\nallowed_tools = ['Bash(git status:*)']\n"
        f"[keys.carol]\nsha256 = '{hashes[2]}'\npermission_mode = 'bypassPermissions'\n"
        "config = {max_turns = 2, allowed_tools = ['Read']}\n"
    )
    result = run("list")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "alice",
        'bob admin=true models=["haiku", "sonnet-*"] tools=[] '
        'allowed_tools=["Bash(git status:*)"] usd_per_day=5.0',
        'carol permission_mode="bypassPermissions" '
        'config={"allowed_tools": ["Read"], "max_turns": 2}',
    ]


def test_webhook(run):
    """`webhook` prints the new secret alone, `list` shows the URL without what may be secret."""
    run("new", "alice")
    result = run("webhook", "alice", "https://ann:hunter2@a.example/hook?token=hunter2")
    assert result.exit_code == 0
    assert re.fullmatch(r"whsec_[\w+/]{43}=\n", result.stdout)
    assert run("list").stdout == 'alice webhook_url="https://a.example/hook"\n'
    assert run("webhook", "alice", "--remove").exit_code == 0
    assert run("list").stdout == "alice\n"
    assert run("webhook", "alice").exit_code == 2


def test_revoke(run):
    """`revoke` removes a key, which a running gateway notices."""
    key = run("new", "alice").stdout.strip().encode()
    file = KeyFile("keys.toml")
    assert file.find(key)
    result = run("revoke", "alice")
    assert (result.exit_code, result.stdout) == (0, "")
    assert file.find(key) is None
    assert run("revoke", "alice").exit_code == 1


@pytest.mark.parametrize("arguments", [("new", "alice"), ("list",), ("revoke", "alice")])
def test_not_set(run, monkeypatch, arguments):
    """Without API_KEYS_FILE each command says how to set it."""
    monkeypatch.delenv("API_KEYS_FILE")
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "set API_KEYS_FILE=keys.toml in the environment or in .env" in result.stderr


def test_home_of_nobody(run, monkeypatch):
    """A path in the home directory of a user that is not there is refused without a traceback."""
    monkeypatch.setenv("API_KEYS_FILE", "~nobody-of-this-name/keys.toml")
    result = run("new", "alice")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: API_KEYS_FILE: there is no home directory for ~nobody-of-this-name; "
        "write the path out\n"
    )


def test_broken_env_file(tmp_path, monkeypatch):
    """With a broken .env, which may set API_KEYS_FILE, a command reports its line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("API_KEYS_FILE", raising=False)
    Path(".env").write_text('API_KEYS_FILE="keys.toml\n')
    info = ScriptInfo(create_app=lambda: app_for_flask(KeysError(["any"])))
    group = FlaskGroup(load_dotenv=False)
    arguments = ("gateway", "keys", "new", "alice")
    result = Flask("x").test_cli_runner().invoke(group, arguments, obj=info, prog_name="flask")
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{tmp_path / '.env'} line 1: the quote of API_KEYS_FILE" in result.stderr
    assert not Path("keys.toml").exists()


def test_set_in_env_file(run, monkeypatch):
    """API_KEYS_FILE may be set in .env."""
    monkeypatch.delenv("API_KEYS_FILE")
    Path(".env").write_text("API_KEYS_FILE=other.toml\n")
    assert run("new", "alice").exit_code == 0
    assert KeyFile("other.toml").names() == ("alice",)


@pytest.mark.parametrize("arguments", [("new", "bob"), ("list",), ("revoke", "alice")])
def test_broken_file(run, arguments):
    """Every mistake of a broken file is reported by key and field, without a traceback."""
    broken = "[keys.alice]\nsha256 = 'x'\nmax_turns = 0\n"
    Path("keys.toml").write_text(broken)
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    sha256, max_turns = result.stderr.splitlines()
    assert "API_KEYS_FILE: keys.alice.sha256: " in sha256
    assert "API_KEYS_FILE: keys.alice.max_turns: " in max_turns
    assert Path("keys.toml").read_text() == broken


def test_doctor_of_a_broken_file(tmp_path, monkeypatch):
    """The doctor reports the file's mistakes, and does not blame the environment."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeysError) as caught:
        KeyFile("keys.toml")
    error = caught.value
    monkeypatch.setenv("API_KEYS_FILE", "keys.toml")
    info = ScriptInfo(create_app=lambda: app_for_flask(error))
    group = FlaskGroup(load_dotenv=False)
    runner = Flask("x").test_cli_runner()
    result = runner.invoke(group, ("gateway", "doctor"), obj=info, prog_name="flask")
    line = next(line for line in result.output.splitlines() if "API_KEYS_FILE" in line)
    assert line.startswith("FAILED  API_KEYS_FILE: ")
    assert "keys.toml does not exist" in line
    assert line.endswith("NAME` makes it (API_KEYS_FILE=keys.toml from the environment)")


def test_in_a_shell(tmp_path):
    """`KEY=$(...)` gets only the key, also if other settings are wrong."""
    flask = f"{sys.executable} -m flask --app {ROOT / 'wsgi.py'} gateway keys new alice"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PORT": "x"}
    environment["API_KEYS_FILE"] = "team/keys.toml"
    process = subprocess.run(
        ["sh", "-c", f'KEY=$({flask}) && printf %s "$KEY"'],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert KeyFile(tmp_path / "team" / "keys.toml").find(process.stdout.encode())
    assert "alice" in process.stderr
