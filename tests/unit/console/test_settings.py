"""The page of settings: what is in force and from where, for admins, without secrets."""

import pytest

from tests.support.console_client import HOME, ConsoleClient
from tests.support.scripted_server import ScriptedServer
from wrapper.auth import key_editor
from wrapper.auth.sign_ins import SignIns
from wrapper.services.principal import LOCAL
from wrapper.settings import Settings
from wrapper.settings.loading import origin_of

PATH = f"{HOME}/settings"


def test_page():
    """The page has every setting with its meaning, and first what differs from the default."""
    page = ConsoleClient(ScriptedServer(max_queue=7).app).open(PATH).text
    first, rest = page.split('id="all"')
    assert "MAX_QUEUE" in first
    assert "a keyword of Settings" in first
    assert "PARKED_IDLE" not in first
    assert "PARKED_IDLE" in rest


def test_secrets(monkeypatch):
    """No key, password or other program's secret is shown."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-upstream")
    server = ScriptedServer(api_key="sk-own", redis_url="redis://:pass@127.0.0.1:1/0")
    monkeypatch.setattr(SignIns, "holder", lambda self, token: LOCAL)  # that Redis is away
    client = ConsoleClient(server.app)
    page = client.open(PATH).text
    assert "127.0.0.1:1/0" in page
    for secret in ("sk-own", "pass@", "sk-ant"):
        assert secret not in page


def test_admins_only(tmp_path):
    """A caller who is no admin does not see the settings."""
    file = tmp_path / "keys.toml"
    key = key_editor.add(file, "ann")
    ann = ConsoleClient(ScriptedServer(api_keys_file=str(file)).app)
    ann.sign_in(key)
    page = ann.open(PATH)
    assert page.status_code == 403
    assert str(file) not in page.text


@pytest.mark.parametrize(
    ("environment", "settings", "place"),
    [
        ({"MAX_QUEUE": "7"}, {"max_queue": 7}, "the environment"),
        ({}, {"max_queue": 7}, "a keyword of Settings"),
        ({"MAX_QUEUE": "8"}, {"max_queue": 7}, "a keyword of Settings"),
        ({}, {}, ""),
        ({"MAX_QUEUE": "nine"}, {"max_queue": 7}, "a keyword of Settings"),
    ],
)
def test_origin(monkeypatch, environment, settings, place):
    """A setting in force comes from the environment, or else from code, or is nobody's."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert origin_of(Settings(**settings))("MAX_QUEUE") == place


def test_origin_in_file(monkeypatch, tmp_path):
    """A setting of .env comes from a line of it."""
    file = tmp_path / ".env"
    file.write_text("MAX_QUEUE=7\n")
    monkeypatch.setenv("MAX_QUEUE", "7")
    assert ".env" in origin_of(Settings(max_queue=7), str(file))("MAX_QUEUE")
