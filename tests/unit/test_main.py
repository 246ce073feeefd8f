"""`python -m wrapper`: its arguments, its port, and where gunicorn's settings come from."""

from __future__ import annotations

import os
import runpy
import socket
from pathlib import Path

import pytest

from wrapper.__main__ import choose_port, read_arguments
from wrapper.cli.commands import commands_alone
from wrapper.server import ports
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


@pytest.fixture
def taken():
    """A port that something listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def read(*arguments):
    return read_arguments(arguments, "program", reloads=True)


@pytest.mark.parametrize(("arguments", "port"), [((), None), (("0",), 0), (("65535",), 65535)])
def test_port_argument(arguments, port):
    """PORT is optional, and may be any port number."""
    assert read(*arguments).port == port


@pytest.mark.parametrize("wrong", ["eighty", "65536", "-1", "80.0", "", "²", "9" * 5000])
def test_wrong_port_argument(capsys, wrong):
    """An invalid PORT exits with one line and status 2."""
    with pytest.raises(SystemExit) as ended:
        read(wrong)
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_reload_argument():
    """--reload is off by default."""
    assert not read("1").reload
    assert read("1", "--reload").reload


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
    """gunicorn.conf.py and `python -m wrapper` set the same."""
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
        commands_alone(SettingsError(["PORT: wrong"]))


def test_demo_environment(tmp_path):
    """The demo's gateway sees no variable of the user that leads to an account."""
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
    environment = demo.variables(tmp_path, "http://127.0.0.1:1", {**users, "PATH": "/bin"})
    assert environment["PATH"] == "/bin"
    assert environment["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:1"
    assert environment["HOST"] == "127.0.0.1"
    assert "the user's own" not in environment.values()
