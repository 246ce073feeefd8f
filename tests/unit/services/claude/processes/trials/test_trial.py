"""What the processes of a trial get."""

from __future__ import annotations

import pytest

from wrapper.services.claude.processes.profiles import build_profiles
from wrapper.services.claude.processes.trials.trial import isolated
from wrapper.settings import Settings


@pytest.mark.parametrize(
    ("login", "dummy"),
    [
        ({"ANTHROPIC_API_KEY": "sk-secret"}, "ANTHROPIC_API_KEY"),
        ({"CLAUDE_CODE_OAUTH_TOKEN": "sk-secret"}, "CLAUDE_CODE_OAUTH_TOKEN"),
        ({"CLAUDE_CODE_USE_BEDROCK": "1", "AWS_PROFILE": "sk-secret"}, "ANTHROPIC_API_KEY"),
    ],
)
def test_nothing_secret(tmp_path, login, dummy):
    """The trial's processes get no login, provider or proxy of the gateway's."""
    proxies = {"HTTPS_PROXY": "http://proxy", "ANTHROPIC_CUSTOM_HEADERS": "x: sk-secret"}
    environment = {"PATH": "/bin", "HOME": "/root", **proxies, **login}
    profile = build_profiles(Settings(), environment)["plain"]
    variables = isolated(profile, "http://127.0.0.1:1", tmp_path).variables
    assert "sk-secret" not in str(variables)
    assert not {"HTTPS_PROXY", "CLAUDE_CODE_USE_BEDROCK", "AWS_PROFILE"} & set(variables)
    assert variables["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:1"
    assert variables["HOME"] == str(tmp_path)
    assert variables[dummy]
