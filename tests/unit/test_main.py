"""Starting: the arguments, the port, and the one place that has gunicorn's settings."""

from __future__ import annotations

import os
import runpy
import socket
from pathlib import Path

import pytest

from wrapper.__main__ import read_arguments, settle_port
from wrapper.cli.commands import commands_alone
from wrapper.server import ports
from wrapper.server.config import address, configuration
from wrapper.settings import Settings, SettingsError
from wrapper.testing import demo

pytestmark = pytest.mark.packages

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _empty(monkeypatch, tmp_path):
    """Settings come from the test alone, and what it sets is put back."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOST", "API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PORT", "0")


@pytest.fixture
def taken():
    """A port that something listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def read(*arguments):
    return read_arguments(arguments, "program", reloads=True)


@pytest.mark.parametrize(("arguments", "port"), [((), None), (("0",), 0), (("65535",), 65535)])
def test_port_argument(arguments, port):
    """PORT may be left out, or be any number that a port can have."""
    assert read(*arguments).port == port


@pytest.mark.parametrize("wrong", ["eighty", "65536", "-1", "80.0", "", "²", "9" * 5000])
def test_wrong_port_argument(capsys, wrong):
    """A PORT that is none is told in one line, with exit status 2."""
    with pytest.raises(SystemExit) as ended:
        read(wrong)
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_reload_argument():
    """--reload is off unless it is asked for."""
    assert not read("1").reload
    assert read("1", "--reload").reload


def test_free_port_is_kept(capsys):
    """A port that is free is used, and nothing is said."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    settle_port(port)
    assert os.environ["PORT"] == str(port)
    assert capsys.readouterr().err == ""


def test_taken_port_moves_on(capsys, taken):
    """A port that is taken is left for a higher one, which is said in one line."""
    settle_port(taken)
    chosen = int(os.environ["PORT"])
    assert taken < chosen <= taken + ports.FURTHER
    assert capsys.readouterr().err == f"Port {taken} is taken; serving on {chosen}.\n"


def test_no_further_than_twenty(monkeypatch):
    """After 20 further ports the search ends, and the range is told."""
    tried = []

    def in_use(host, port):
        tried.append(port)
        raise OSError(98, "Address already in use")

    monkeypatch.setattr(ports, "_bind", in_use)
    with pytest.raises(SystemExit, match="PORT: 8000 to 8020 are taken"):
        settle_port(8000)
    assert tried == list(range(8000, 8021))
    tried.clear()
    assert ports.first_free("127.0.0.1", 65530) is None
    assert tried == list(range(65530, 65536))


def test_other_reasons_do_not_move_on(monkeypatch):
    """A port that cannot be had for another reason is left to the server, which says why."""

    def denied(host, port):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(ports, "_bind", denied)
    assert ports.first_free("127.0.0.1", 80) == 80
    assert ports.why_not("127.0.0.1", 80) == "Permission denied"


@pytest.mark.parametrize(("host", "text"), [("127.0.0.1", "127.0.0.1:1"), ("::1", "[::1]:1")])
def test_address(host, text):
    """gunicorn gets HOST and PORT as one text, an IPv6 address in brackets."""
    assert address(Settings(host=host, port=1)) == text


def test_one_source_of_settings():
    """What gunicorn.conf.py sets is what `python -m wrapper` sets."""
    ours = configuration()
    theirs = runpy.run_path(str(ROOT / "gunicorn.conf.py"))
    # These are made anew each time.
    hooks = {"on_starting", "nworkers_changed", "when_ready", "logger_class"}
    assert {name: theirs[name] for name in ours.keys() - hooks} == {
        name: ours[name] for name in ours.keys() - hooks
    }
    assert hooks <= theirs.keys()


def test_wrong_settings_are_refused(monkeypatch):
    """Wrong settings end the start with every name, and no traceback."""
    monkeypatch.setenv("POOL_SIZE", "-1")
    monkeypatch.setenv("PORT", "eighty")
    with pytest.raises(SystemExit) as ended:
        configuration()
    assert "POOL_SIZE: " in str(ended.value.code)
    assert "PORT: " in str(ended.value.code)


def test_no_app_without_settings():
    """A WSGI server gets no app where the settings are wrong, but their error."""
    with pytest.raises(SettingsError, match="PORT: wrong"):
        commands_alone(SettingsError(["PORT: wrong"]))


def test_demo_environment(tmp_path):
    """The demonstration's gateway sees nothing of the user's that leads to an account."""
    keys = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "AWS_PROFILE")
    ways = ("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_ENV_PASS", "API_KEY", "HTTPS_PROXY", "HOME", "HOST")
    users = dict.fromkeys((*keys, *ways), "the user's own")
    got = demo.variables(tmp_path, "http://127.0.0.1:1", {**users, "PATH": "/bin"})
    assert got["PATH"] == "/bin"
    assert got["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:1"
    assert got["HOST"] == "127.0.0.1"
    assert "the user's own" not in got.values()
