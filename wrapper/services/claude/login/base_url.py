"""The URL at which Claude Code finds the model's API, if the environment sets one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from wrapper.services.claude.login.login import detect_login

# Claude Code reads another variable for each way to log in.
VARIABLES = {
    "bedrock": "ANTHROPIC_BEDROCK_BASE_URL",
    "vertex": "ANTHROPIC_VERTEX_BASE_URL",
}
DEFAULT_VARIABLE = "ANTHROPIC_BASE_URL"
# Claude Code appends this to ANTHROPIC_BASE_URL.
API_PATH = "/v1/messages"


def mistakes(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield why Claude Code cannot use the URL, and what to do."""
    name, url = _setting(environment)
    if url and not _is_usable(url):
        yield (
            f"{name}: {_shown(url)!r} is no URL of an API; write it with http:// or https:// and "
            "a host, such as https://api.anthropic.com"
        )


def describe(environment: Mapping[str, str]) -> tuple[str, str]:
    """Return the URL for the operator, without a password, and a remark if it looks wrong."""
    name, url = _setting(environment)
    if not url:
        return f"the provider's own ({name} is not set)", ""
    remark = ""
    if name == DEFAULT_VARIABLE and urlsplit(url).path.rstrip("/").endswith("/v1"):
        remark = f"it ends in /v1, and Claude Code appends {API_PATH}; leave /v1 out"
    return f"{name}={_shown(url)}", remark


def _setting(environment: Mapping[str, str]) -> tuple[str, str]:
    name = VARIABLES.get(detect_login(environment).method, DEFAULT_VARIABLE)
    return name, environment.get(name, "").strip()


def _is_usable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is no number
        return False


def _shown(url: str) -> str:
    """Return *url* without the user and password that it may have."""
    before, at, after = url.rpartition("@")
    return f"{before.partition('//')[0]}//***@{after}" if at and "//" in before else after
