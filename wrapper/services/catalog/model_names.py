"""The model names: which ones can be a Claude model's, and how else a router may write one."""

from __future__ import annotations

import re
from collections.abc import Iterator

# The prefixes that routers and their clients put before a model's name, followed by a slash.
ROUTERS = frozenset(
    (
        *("anthropic", "azure", "azure_ai", "bedrock", "claude", "custom", "custom_openai"),
        *("litellm", "litellm_proxy", "openai", "openai_like", "openrouter", "vertex_ai"),
    )
)
_BEDROCK = r"(?:[a-z]{2,6}(?:-[a-z]{2,4})?\.)?anthropic\.claude-[a-z\d.-]+(?::\d+(?::\d+k)?)?"
# Claude 2 and before have a dot in their version, later models have a dash.
_ANTHROPIC = r"claude-(?:[a-z\d]+(?:-[a-z\d]+)*|(?:instant-)?v?[12]\.\d+)"
_CLAUDE = re.compile(
    rf"{_ANTHROPIC}"
    rf"|{_ANTHROPIC}@(?:\d{{8}}|default|latest)"  # Vertex AI
    rf"|{_BEDROCK}"
    r"|arn:aws[a-z-]*:bedrock:[a-z\d-]*:\d*:(?:"
    rf"(?:foundation-model|inference-profile)/{_BEDROCK}"
    # These names do not tell which model runs.
    r"|(?:application-inference-profile|inference-profile|provisioned-model)/[A-Za-z\d_-]+)"
)
_DOTTED = re.compile(r"(?<=\d)\.(?=\d)")


def is_claude(name: str) -> bool:
    """Say whether *name* looks like a Claude model's id at Anthropic, Bedrock or Vertex AI."""
    return _CLAUDE.fullmatch(name) is not None


def spellings(name: str) -> Iterator[str]:
    """Yield *name*, and then the names that it has without a router's prefixes and dots.

    openrouter/anthropic/claude-sonnet-4.5 also yields claude-sonnet-4.5 and claude-sonnet-4-5.
    """
    yield name
    router, slash, rest = name.partition("/")
    while slash and router in ROUTERS:
        name = rest
        yield name
        router, slash, rest = name.partition("/")
    if name.startswith("claude-") and _DOTTED.search(name):
        yield _DOTTED.sub("-", name)
