"""Upstream bodies without what is known to vary: between runs, machines and versions."""

from __future__ import annotations

import re
from typing import Any

from tests.support import cli

Json = dict[str, Any]

# The version whose bodies the golden files are, which were read and found right.
GOLDEN_VERSION = "2.1.330"

# Patterns that vary, what stands in their place, and why they vary.
PATTERNS = [
    (r"cc_version=[\w.]+", "cc_version=VERSION", "it names the version, and a hash of the text"),
    (
        r"Primary working directory: \S+/claude-gateway-[^/]+/[0-9a-f]+/work",
        "WORKING DIRECTORY",
        "each process has its own",
    ),
    (r"OS Version: [^\n]+", "OS VERSION", "it is the machine's"),
    (r"Shell: [^\n]+", "SHELL", "it is the machine's"),
    (r"\b20\d\d-\d\d-\d\d\b", "DATE", "it is today's, or the day of a release"),
    (r'"device_id":"[0-9a-f]{64}"', '"device_id":"DEVICE"', "each gateway has its own"),
    (r'"session_id":"[0-9a-f-]{36}"', '"session_id":"SESSION"', "each process has its own"),
]
REMINDER = "<system-reminder>"
# An agent's own prompt is far longer than any that the tests send.
OWN_PROMPT_CHARACTERS = 5000


def normalised(body: Json, *, agent: bool = False) -> Json:
    """Return *body* with everything replaced that is known to vary.

    Each release of Claude Code words the prompt, the tools and the reminders of its agent anew. So
    the words of an *agent* count only with the version of the golden files. With another, it
    counts which texts and tools there are, and where. What callers write always counts.
    """
    replaced: Json = _replace(body)
    worded_anew = agent and cli.version() != GOLDEN_VERSION
    return _without_wording(replaced) if worded_anew else replaced


def _replace(value: Any) -> Any:
    """Return a JSON value with the patterns replaced in all of its texts."""
    if isinstance(value, dict):
        return {key: _replace(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_replace(inner) for inner in value]
    if isinstance(value, str):
        for pattern, name, _ in PATTERNS:
            value = re.sub(pattern, name, value)
    return value


def _without_wording(body: Json) -> Json:
    """Return *body* without the texts that Claude Code words itself."""
    tools = [tool["name"] for tool in body["tools"]]
    system = [_without_text(block, _is_own_prompt(block)) for block in body["system"]]
    messages = [
        {**message, "content": [_without_text(part, _reminds(part)) for part in message["content"]]}
        for message in body["messages"]
    ]
    return {**body, "tools": tools, "system": system, "messages": messages}


def _without_text(block: Json, own: bool) -> Json:
    return {**block, "text": "CLAUDE CODE'S"} if own else block


def _is_own_prompt(block: Json) -> bool:
    return len(block["text"]) > OWN_PROMPT_CHARACTERS


def _reminds(block: Json) -> bool:
    return bool(block.get("text", "").startswith(REMINDER))
