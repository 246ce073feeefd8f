"""The logs: a line for each request, with no text and no secret in it."""

from __future__ import annotations

import json
import logging

import pytest

from wrapper.logs import configure, secrets_of

FRAME = {"type": "user", "message": {"role": "user", "content": [{"type": "text", "text": "hush"}]}}


@pytest.fixture
def written(capsys):
    """Return what the log writes about a request and a frame, configured as asked."""
    root = logging.getLogger()
    before = root.handlers[:], root.level

    def write(**how):
        root.handlers.clear()
        configure("debug", **how)
        facts = {"facts": {"id": "req-1", "cost_usd": 0.5, "outcome": "done"}}
        logging.getLogger("test").info("request with sk-secret-key", extra=facts)
        logging.getLogger("test").debug("to 7", extra={"frame": FRAME})
        return capsys.readouterr().err.splitlines()

    yield write
    root.handlers[:], root.level = before


def test_console(written):
    """On a console a request is one line, its figures by name."""
    request, frame = written(secrets=["sk-secret-key"])
    assert request.endswith("test: request with *** id=req-1 cost_usd=0.5 outcome=done")
    assert "<4 characters>" in frame


def test_json(written):
    """As JSON each line is an object."""
    request, frame = (json.loads(line) for line in written(style="json"))
    assert (request["id"], request["cost_usd"], request["level"]) == ("req-1", 0.5, "info")
    assert frame["frame"]["message"]["content"][0] == {"type": "text", "text": "<4 characters>"}


@pytest.mark.parametrize(("prompts", "shown"), [(True, True), (False, False)])
def test_prompts(written, prompts, shown):
    """What callers wrote is in the log only where that is asked for."""
    assert ("hush" in "".join(written(prompts=prompts))) is shown


def test_secrets_of():
    """What the environment names as secret is masked; short values would mask too much."""
    environment = {"ANTHROPIC_API_KEY": "sk-123456789", "MY_TOKEN": "1", "HOME": "/home/someone"}
    assert secrets_of(environment) == ["sk-123456789"]
