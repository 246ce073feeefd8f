"""The line at the start, with a scripted engine."""

from __future__ import annotations

import pytest

from wrapper.gateway import Gateway
from wrapper.server.start_line import start_facts
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine
from wrapper.version import __version__

pytestmark = pytest.mark.packages


def facts_of(*, authenticate=None, **settings):
    gateway = Gateway(Settings(**settings), engine=ScriptedEngine(), authenticate=authenticate)
    try:
        return start_facts(gateway, ["http://127.0.0.1:8000", "http://[::1]:8000"])
    finally:
        gateway.close()


def test_facts(tmp_path):
    """The line names the version, the addresses, the profiles and the stores."""
    usage = str(tmp_path / "usage.db")
    assert facts_of(usage_db=usage, default_profile="plain", pool_size=3) == {
        "version": __version__,
        "address": "http://127.0.0.1:8000, http://[::1]:8000",
        "engine": "ScriptedEngine",
        "profiles": "plain (default, 3 warm), agent (1 warm)",
        "sessions": "memory",
        "usage": usage,
        "rates": "memory",
        "keys": "none",
    }


def test_no_secrets():
    """Neither a key nor the login of a Redis is in the line."""
    redis = "redis://user:hush@127.0.0.1:1/0?password=hush"
    facts = facts_of(api_key="hush-hush", redis_url=redis, session_store=redis)
    assert "hush" not in str(facts)
    assert facts["keys"] == "API_KEY"
    assert {"127.0.0.1:1/0" in facts[store] for store in ("sessions", "usage", "rates")} == {True}


def test_keys_file(tmp_path):
    """The line says how many keys a file has."""
    file = tmp_path / "keys.toml"
    file.write_text(f'[keys.alice]\nsha256 = "{"0" * 64}"\n')
    file.chmod(0o600)
    assert facts_of(api_keys_file=str(file))["keys"] == f"1 of {file}"


def test_keys_of_the_app():
    """The line says if the app around the gateway decides who may call."""
    assert facts_of(authenticate=lambda request: None, api_key="unused")["keys"] == "the app's own"
