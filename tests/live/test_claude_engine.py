"""The Claude Code engine fulfils the contract of all engines."""

from __future__ import annotations

import os

import pytest

from tests.support import cli
from tests.support.server import MODEL
from wrapper.services.claude.engine import ClaudeEngine
from wrapper.settings import Settings
from wrapper.testing import check_engine, say


@pytest.mark.parametrize("profile", ["plain", "agent"])
def test_contract(upstream, tmp_path, profile):
    """The engine contract holds for Claude Code."""
    settings = Settings(
        claude_cli_path=cli.current(),
        default_profile=profile,
        pool_size=1,
        pool_size_other=0,
        session_dir=str(tmp_path / "sessions"),
    )
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "ANTHROPIC_API_KEY": "sk-test-0123456789",
        "ANTHROPIC_BASE_URL": upstream.url,
    }
    check_engine(
        lambda: ClaudeEngine(settings, environment),
        say("Hello.", MODEL, profile),
        say("[[say Well then.]] [[stall 60]]", MODEL, profile),
    )
