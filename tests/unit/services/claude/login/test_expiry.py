"""When a login ends, as far as it, or the operator, says."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from wrapper.services.claude.login.expiry import LoginExpiry, expires_at, is_renewed
from wrapper.settings import Settings

NOW = 1_800_000_000
AWS = {"CLAUDE_CODE_USE_BEDROCK": "1", "AWS_REGION": "eu-central-1"}


def jwt(**claims: Any) -> str:
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + ".s"


def bedrock_key(query: str) -> str:
    url = f"bedrock.amazonaws.com/?Action=CallWithBearerToken&{query}&Version=1"
    return "bedrock-api-key-" + base64.b64encode(url.encode()).decode()


@pytest.fixture
def log_in(tmp_path):
    """A function that writes Claude Code's login into a home, and returns its environment."""

    def log_in(**login: Any) -> dict[str, str]:
        file = Path(tmp_path, ".claude", ".credentials.json")
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps({"claudeAiOauth": login}))
        return {"HOME": str(tmp_path)}

    return log_in


@pytest.mark.parametrize(
    ("login", "end"),
    [
        ({"expiresAt": NOW * 1000}, NOW),
        ({"expiresAt": 1000, "refreshToken": "r"}, None),
        ({"expiresAt": 1000, "refreshToken": "r", "refreshTokenExpiresAt": NOW * 1000}, NOW),
        ({"expiresAt": NOW * 1000, "refreshToken": "r", "refreshTokenExpiresAt": 1000}, NOW),
        ({"expiresAt": "soon"}, None),
        ({"expiresAt": True}, None),
        ({}, None),
    ],
)
def test_own_login(log_in, login, end):
    """Claude Code's login ends with its token, or when that cannot be renewed any more."""
    assert expires_at(log_in(**login)) == end


@pytest.mark.parametrize("content", ["", "no JSON", "[]", '{"claudeAiOauth": 1}', "\xff"])
def test_unreadable_login(tmp_path, content):
    """A file that is no login of Claude Code's has no end."""
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude" / ".credentials.json").write_text(content, "latin-1")
    assert expires_at({"HOME": str(tmp_path)}) is None


@pytest.mark.parametrize(
    ("variables", "end"),
    [
        ({"ANTHROPIC_AUTH_TOKEN": jwt(exp=NOW)}, NOW),
        ({"ANTHROPIC_AUTH_TOKEN": jwt(exp="soon")}, None),
        ({"ANTHROPIC_AUTH_TOKEN": jwt()}, None),
        ({"ANTHROPIC_AUTH_TOKEN": "a.b.c"}, None),
        ({"ANTHROPIC_AUTH_TOKEN": "sk-opaque"}, None),
        ({"ANTHROPIC_API_KEY": jwt(exp=NOW)}, None),
        ({"CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-x"}, None),
        ({**AWS, "AWS_ACCESS_KEY_ID": "a"}, None),
        ({**AWS, "AWS_CREDENTIAL_EXPIRATION": "2027-01-15T08:00:00Z"}, None),
        (
            {
                **AWS,
                "AWS_ACCESS_KEY_ID": "a",
                "AWS_CREDENTIAL_EXPIRATION": "2027-01-15T08:00:00+00:00",
            },
            NOW,
        ),
        ({**AWS, "AWS_ACCESS_KEY_ID": "a", "AWS_CREDENTIAL_EXPIRATION": "soon"}, None),
        (
            {
                **AWS,
                "AWS_BEARER_TOKEN_BEDROCK": bedrock_key(
                    "X-Amz-Date=20270115T070000Z&X-Amz-Expires=3600"
                ),
            },
            NOW,
        ),
        ({**AWS, "AWS_BEARER_TOKEN_BEDROCK": bedrock_key("X-Amz-Expires=3600")}, None),
        ({**AWS, "AWS_BEARER_TOKEN_BEDROCK": "bedrock-api-key-!"}, None),
        ({**AWS, "AWS_BEARER_TOKEN_BEDROCK": "ABSK-long-term"}, None),
        ({"CLAUDE_CODE_USE_VERTEX": "1"}, None),
        ({"HOME": "/nowhere"}, None),
    ],
)
def test_variables(variables, end):
    """Tokens that say when they end are read; of all others nothing is guessed."""
    assert expires_at(variables) == end


def test_stated():
    """What the operator says comes first."""
    assert expires_at({"ANTHROPIC_AUTH_TOKEN": jwt(exp=1)}, "2027-01-15T08:00") == NOW


@pytest.mark.parametrize(
    ("hours", "state", "says"),
    [
        (-1, "expired", "expired at 2027-01-15T07:00:00Z: set ANTHROPIC_AUTH_TOKEN to a valid one"),
        (0, "expired", "expired at"),
        (5, "expiring", "(ANTHROPIC_AUTH_TOKEN is set) expires at 2027-01-15T13:00:00Z"),
        (6, "ok", ""),
    ],
)
def test_warning(hours, state, says):
    """It warns some hours before the end, with what to do, and once the login has ended."""
    environment = {"ANTHROPIC_AUTH_TOKEN": jwt(exp=NOW + hours * 3600)}
    settings = Settings(login_warning_hours=5)
    expiry = LoginExpiry(environment, settings, lambda: NOW)
    assert expiry.state() == state
    assert says in expiry.warning() if says else not expiry.warning()


def test_renewal(log_in):
    """A login whose token has ended is renewed before it is used; others are not."""
    assert is_renewed(log_in(expiresAt=NOW * 1000, refreshToken="r"), NOW)
    assert not is_renewed(log_in(expiresAt=NOW * 1000, refreshToken="r"), NOW - 1)
    assert not is_renewed({"ANTHROPIC_API_KEY": "k"}, NOW)
