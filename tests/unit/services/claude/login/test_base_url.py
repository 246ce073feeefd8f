"""The URL of the model's API: which variable has it, and which values cannot work."""

from __future__ import annotations

import pytest

from wrapper.services.claude.login.base_url import describe, mistakes

SUCH_AS = (
    "is no URL of an API; write it with http:// or https:// and a host, such as "
    "https://api.anthropic.com"
)
BEDROCK = {"CLAUDE_CODE_USE_BEDROCK": "1", "AWS_REGION": "eu-west-1"}


@pytest.mark.parametrize(
    "url",
    [
        *("api.anthropic.com", "127.0.0.1:8080", "localhost:8080", "/v1", "//host/x"),
        *("ftp://host", "https://", "http://host:eighty", "http://[::1"),
    ],
)
def test_unusable(url):
    """A URL without a scheme or a host, or with another scheme, cannot work."""
    assert list(mistakes({"ANTHROPIC_BASE_URL": url})) == [f"ANTHROPIC_BASE_URL: {url!r} {SUCH_AS}"]


@pytest.mark.parametrize(
    "url", ["", " ", "http://127.0.0.1:9", "https://host/path", "http://[::1]"]
)
def test_usable(url):
    """No URL, and one of HTTP, can work."""
    assert not list(mistakes({"ANTHROPIC_BASE_URL": url}))


def test_variable_of_the_cloud():
    """With a cloud its own variable counts, and the other does not."""
    (mistake,) = mistakes({**BEDROCK, "ANTHROPIC_BEDROCK_BASE_URL": "host"})
    assert mistake.startswith("ANTHROPIC_BEDROCK_BASE_URL: 'host' is no URL")
    assert not list(mistakes({**BEDROCK, "ANTHROPIC_BASE_URL": "host"}))


def test_description():
    """The operator sees the URL without its password, and a remark if it ends in /v1."""
    assert describe({}) == ("the provider's own (ANTHROPIC_BASE_URL is not set)", "")
    url = "https://me:secret@host/v1/"
    text, remark = describe({"ANTHROPIC_BASE_URL": url})
    assert text == "ANTHROPIC_BASE_URL=https://***@host/v1/"
    assert remark == "it ends in /v1, and Claude Code appends /v1/messages; leave /v1 out"
    assert "secret" not in next(mistakes({"ANTHROPIC_BASE_URL": "me:secret@host"}))
