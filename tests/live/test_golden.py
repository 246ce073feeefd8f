"""Whole upstream bodies, compared with golden files.

To renew a file, delete it and run the test on GOLDEN_VERSION. It writes the file and fails once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import cli
from tests.support.normalised import GOLDEN_VERSION, normalised

GOLDEN = Path(__file__).parent / "golden"
pytestmark = pytest.mark.clis

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


@pytest.fixture
def gateway(fresh_gateway):
    """Here each turn is a process's first; test_recycling.py compares later ones with it."""
    return fresh_gateway


@pytest.mark.thorough
def test_without_attribution(serve, upstream):
    """An operator can leave out the first line of the system prompt."""
    variable = "CLAUDE_CODE_ATTRIBUTION_HEADER"
    server = serve(**{"CLAUDE_ENV_PASS": variable, variable: "0", "POOL_SIZE_OTHER": "0"}).wait()
    assert server.ask("Hello.", claude={"profile": "plain"})[0] == 200
    (line,) = upstream.requests[0].body["system"]
    assert line["text"].startswith("You are a Claude agent")


def test_version():
    """The golden files are of the pinned version, on which every word in them counts."""
    assert cli.version_of(str(cli.pinned())) == GOLDEN_VERSION


# The tests of fidelity hold the plain profile to its golden file, too.
@pytest.mark.parametrize(
    "name", [pytest.param("plain", marks=pytest.mark.thorough), "agent", "agent-conversation"]
)
def test_upstream_body(gateway, upstream, name):
    """The upstream body equals the golden file, except for what is known to vary."""
    status, _ = gateway.ask("Hello there.", **TURNS[name])
    assert status == 200
    assert len(upstream.requests) == 1
    body = upstream.requests[0].body
    golden = GOLDEN / f"{name}.json"
    if not golden.exists() and cli.version() == GOLDEN_VERSION:
        golden.write_text(json.dumps(normalised(body), indent=1, ensure_ascii=False) + "\n")
        pytest.fail(f"{golden.name} was missing and is written now; read it")
    agent = name != "plain"
    assert normalised(body, agent=agent) == normalised(json.loads(golden.read_text()), agent=agent)
