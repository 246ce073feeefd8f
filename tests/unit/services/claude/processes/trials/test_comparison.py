"""What counts as a difference between two requests."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from wrapper.services.claude.processes.trials.comparison import compare
from wrapper.services.claude.processes.trials.recorder import Request

HEADERS = {"Host": "127.0.0.1:1", "Anthropic-Beta": "a", "X-Claude-Code-Session-Id": "1"}
BODY = {"model": "m", "metadata": {"user_id": "0f" * 32}, "system": "Answer."}


def request(path="/v1/messages", headers=HEADERS, body=BODY):
    return Request(path, headers, json.dumps(body).encode())


@pytest.mark.parametrize(
    "warm",
    [
        request(),
        request(headers={**HEADERS, "Host": "127.0.0.1:2", "X-Claude-Code-Session-Id": "2"}),
        request(body={**BODY, "metadata": {"user_id": "1e" * 32}}),
    ],
    ids=["the same", "another session", "another device"],
)
def test_no_difference(warm):
    """The names of sessions and devices do not count."""
    assert compare(request(), warm) == ""


@pytest.mark.parametrize(
    ("warm", "difference"),
    [
        (request(path="/v1/other"), "its path is /v1/other"),
        (
            request(headers={**HEADERS, "Anthropic-Beta": "a,b"}),
            "its header anthropic-beta differs",
        ),
        (request(headers={**HEADERS, "X-More": "1"}), "its header x-more differs"),
        (request(body={**BODY, "system": ""}), "its field system differs"),
        (request(body={**BODY, "more": 1}), "its field more differs"),
        (request(body=[]), "its field body differs"),
        (replace(request(), body=b"{"), "its field body differs"),
    ],
)
def test_difference(warm, difference):
    """Any other difference in path, headers or body is named."""
    assert compare(request(), warm).startswith(difference)
