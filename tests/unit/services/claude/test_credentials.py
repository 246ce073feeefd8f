"""The credentials: which login is in force, and what it lacks."""

from __future__ import annotations

import pytest

from wrapper.services.claude.login import detect_login, uses_cli_login

WAYS = [
    ({"ANTHROPIC_API_KEY": "k"}, "anthropic"),
    ({"ANTHROPIC_AUTH_TOKEN": "t"}, "anthropic"),
    ({"CLAUDE_CODE_OAUTH_TOKEN": "t"}, "claude_cli"),
    ({"CLAUDE_CODE_USE_BEDROCK": "1", "AWS_REGION": "r", "ANTHROPIC_API_KEY": "k"}, "bedrock"),
    (
        {
            "CLAUDE_CODE_USE_VERTEX": "true",
            "ANTHROPIC_VERTEX_PROJECT_ID": "p",
            "CLOUD_ML_REGION": "r",
        },
        "vertex",
    ),
]


@pytest.mark.parametrize(("environment", "method"), WAYS)
def test_method(environment, method):
    """A cloud goes before a key, and a key before a login; nothing is missing then."""
    login = detect_login(environment)
    assert (login.method, login.missing) == (method, ())
    assert uses_cli_login(environment) is (method == "claude_cli")


def test_cli_login(tmp_path):
    """A login of Claude Code's own is seen by its file, which is not opened."""
    file = tmp_path / ".claude" / ".credentials.json"
    file.parent.mkdir()
    assert detect_login({"HOME": str(tmp_path)}).missing
    file.touch(mode=0)
    login = detect_login({"HOME": str(tmp_path)})
    assert (login.method, login.reason, login.missing) == (
        *("claude_cli", "Claude Code is logged in"),
        (),
    )


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, ["ANTHROPIC_API_KEY"]),
        ({"CLAUDE_CODE_USE_BEDROCK": "1"}, ["AWS_REGION"]),
        ({"CLAUDE_CODE_USE_VERTEX": "1"}, ["ANTHROPIC_VERTEX_PROJECT_ID", "CLOUD_ML_REGION"]),
    ],
)
def test_missing(environment, named, tmp_path):
    """What is missing is named with its mend."""
    missing = detect_login({"HOME": str(tmp_path), **environment}).missing
    assert len(missing) == len(named)
    assert all(name in said for name, said in zip(named, missing, strict=True))


def test_a_cloud_that_is_off():
    """A cloud's variable that is set to 0 does not choose it."""
    assert detect_login({"CLAUDE_CODE_USE_BEDROCK": "0", "ANTHROPIC_API_KEY": "k"}).method == (
        "anthropic"
    )
