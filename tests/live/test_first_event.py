"""FIRST_EVENT_TIMEOUT: a turn whose model does not begin ends, with the probable reason."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.server import MODEL

# Many times what a turn needs to begin. Nothing here takes CPU time meanwhile.
SECONDS = 10
SILENT = "[[wait 100]] Hi"
# Claude Code's pauses between its attempts are longer together.
FAILS = "[[error 529]] Hi"


@pytest.fixture(scope="module")
def hasty(_servers):
    """A gateway with a short FIRST_EVENT_TIMEOUT, whose Claude Code tries again and again."""
    sizes = {"POOL_SIZE": "3", "POOL_SIZE_OTHER": "2", "CLAUDE_CODE_MAX_RETRIES": "10"}
    return _servers(FIRST_EVENT_TIMEOUT=str(SECONDS), **sizes).wait()


def test_no_first_event(hasty, upstream):
    """The error says what the turn waited for, in each API's shape; a fallback answers instead.

    Its process ends, and so does the request to the model.
    """
    hasty.at_rest()  # so that no turn waits for a process
    chat = [{"role": "user", "content": SILENT}]
    failing = [{"role": "user", "content": FAILS}]
    falls = {"fallback_models": ["haiku"]}
    opus_alone = [{"role": "user", "content": f"{SILENT} [[of opus]]"}]
    asked = [
        (
            "/v1/chat/completions",
            {"model": MODEL, "messages": chat, "claude": {"profile": "plain"}},
        ),
        ("/v1/messages", {"model": MODEL, "messages": chat, "max_tokens": 9}),
        ("/v1/chat/completions", {"model": MODEL, "messages": failing}),
        ("/v1/chat/completions", {"model": "opus", "messages": opus_alone, "claude": falls}),
    ]
    with ThreadPoolExecutor(len(asked)) as pool:
        answers = [*pool.map(lambda each: hasty.call("POST", *each), asked)]
    silent, messages, failed, fallen = (
        (status, headers, json.loads(data)) for status, headers, data in answers
    )

    assert (silent[0], silent[1]["x-should-retry"]) == (504, "false")
    assert silent[2]["error"]["code"] == "timeout"
    assert "FIRST_EVENT_TIMEOUT). The request was sent" in silent[2]["error"]["message"]
    assert (messages[0], messages[2]["error"]["type"]) == (504, "timeout_error")
    assert failed[0] == 504
    assert "answered with the status 529" in failed[2]["error"]["message"]
    assert (fallen[0], fallen[1]["x-failed-models"]) == (200, "opus")
    assert "haiku" in fallen[2]["model"]
    assert upstream.wait_for(lambda seen: all(one.ended is not None for one in seen))
