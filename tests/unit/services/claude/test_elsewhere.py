"""On other systems than Linux, what cannot work is refused with a reason, and the rest starts."""

import logging

import pytest

from wrapper import Gateway, Settings, host
from wrapper.services.claude import preflight
from wrapper.services.claude.login.login import detect_login
from wrapper.settings import SettingsError
from wrapper.testing import ScriptedEngine

KEY = {"ANTHROPIC_API_KEY": "sk-something", "PATH": "/usr/bin:/bin"}


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch):
    monkeypatch.setattr(host, "LINUX", False)


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        (Settings(claude_sandbox=True), "CLAUDE_SANDBOX"),
        (Settings(claude_user="nobody"), "CLAUDE_USER"),
    ],
)
def test_confinement(settings, setting):
    """What confines agents on Linux only is refused, with what to do instead."""
    with pytest.raises(SettingsError) as refusal:
        preflight.check(settings, KEY)
    (mistake,) = refusal.value.mistakes
    assert mistake.startswith(f"{setting}: ")
    assert "Linux only" in mistake
    assert "leave it out" in mistake


def test_login(tmp_path):
    """A login in a Keychain is not used, and the message says how to log in instead."""
    (missing,) = detect_login({"HOME": str(tmp_path)}).missing
    assert "Keychain" in missing
    assert "claude setup-token" in missing
    assert detect_login({"CLAUDE_CODE_OAUTH_TOKEN": "x"}).missing == ()


def test_start(monkeypatch, caplog):
    """The start says once that the system is not tested; on Linux it says nothing."""
    for linux, warnings in ((False, 1), (True, 0)):
        monkeypatch.setattr(host, "LINUX", linux)
        caplog.clear()
        with caplog.at_level(logging.WARNING), Gateway(Settings(), engine=ScriptedEngine()):
            pass
        texts = [record.getMessage() for record in caplog.records]
        assert texts.count(host.UNTESTED) == warnings
