"""The start checks: what stops a start, and that all mistakes are reported at once."""

from __future__ import annotations

import pytest

from wrapper import start_checks
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
