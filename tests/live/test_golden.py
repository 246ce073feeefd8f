"""Whole upstream bodies, compared with golden files.

To renew a file, delete it and run the test, which writes it and fails once.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support import cli

GOLDEN = Path(__file__).parent / "golden"
CLI_VERSION = "2.1.330"

# Parts that differ from run to run and from machine to machine.
VARIABLE = [
    (r"cc_version=[\w.]+", "cc_version=VERSION"),
    (r"Primary working directory: \S+/claude-gateway-[^/]+/[0-9a-f]+/work", "WORKING DIRECTORY"),
    (r"OS Version: [^\n]+", "OS VERSION"),
    (r"Shell: [^\n]+", "SHELL"),
    (r"\b20\d\d-\d\d-\d\d\b", "DATE"),
    (r'"device_id":"[0-9a-f]{64}"', '"device_id":"DEVICE"'),
    (r'"session_id":"[0-9a-f-]{36}"', '"session_id":"SESSION"'),
]

CONVERSATION = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "first"},
    {"role": "assistant", "content": "one"},
    {"role": "user", "content": "second"},
]
TURNS: dict[str, dict[str, Any]] = {
    "plain": {"claude": {"profile": "plain"}},
    "agent": {"claude": {"profile": "agent"}},
    "agent-conversation": {
        "claude": {"profile": "agent"},
        "max_tokens": 100,
        "messages": CONVERSATION,
    },
}


def settled(value):
    """Return *value* with everything variable replaced."""
    if isinstance(value, dict):
        return {key: settled(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [settled(inner) for inner in value]
    if isinstance(value, str):
        for pattern, name in VARIABLE:
            value = re.sub(pattern, name, value)
    return value


@pytest.mark.thorough
def test_without_attribution(serve, upstream):
    """An operator can leave out the first line of the system prompt."""
    variable = "CLAUDE_CODE_ATTRIBUTION_HEADER"
    server = serve(**{"CLAUDE_ENV_PASS": variable, variable: "0", "POOL_SIZE_OTHER": "0"}).wait()
    assert server.ask("Hello.", claude={"profile": "plain"})[0] == 200
    (line,) = upstream.requests[0].body["system"]
    assert line["text"].startswith("You are a Claude agent")


@pytest.mark.parametrize("name", TURNS)
def test_upstream_body(gateway, upstream, name):
    """The upstream body equals the golden file, which was read and found right."""
    if cli.version() != CLI_VERSION:
        cli.missing(f"Claude Code {CLI_VERSION}, whose bodies the golden ones are")
    status, _ = gateway.ask("Hello there.", **TURNS[name])
    assert status == 200
    assert len(upstream.requests) == 1
    body = settled(upstream.requests[0].body)
    golden = GOLDEN / f"{name}.json"
    if not golden.exists():
        golden.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n")
        pytest.fail(f"{golden.name} was missing and is written now; read it")
    assert body == json.loads(golden.read_text())
