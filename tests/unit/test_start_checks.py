"""The start checks: what stops a start, and that all mistakes are reported at once."""

from __future__ import annotations

import pytest

from wrapper import start_checks
from wrapper.gateway import Gateway
from wrapper.settings import Settings, SettingsError


def test_all_mistakes_at_once(tmp_path):
    """The mistakes of all checks are reported together, each with its setting."""
    settings = Settings(
        wrapper_engine="nobody's",
        api_keys_file=str(tmp_path / "keys.toml"),
        redis_url="127.0.0.1:6379",
    )
    with pytest.raises(SettingsError) as raised:
        start_checks.check(settings)
    names = [mistake.partition(":")[0] for mistake in raised.value.mistakes]
    assert names == ["WRAPPER_ENGINE", "API_KEYS_FILE", "REDIS_URL"]


def test_an_app_without_claude():
    """An app can be built while no Claude Code is installed; a server does not start."""
    settings = Settings(claude_cli_path="/nowhere/claude")
    Gateway(settings).close()
    assert start_checks.mistakes_of(settings, to_serve=False) == []
    (mistake,) = start_checks.mistakes_of(settings)
    assert mistake.startswith("CLAUDE_CLI_PATH: /nowhere/claude does not exist")
