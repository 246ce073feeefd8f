"""The examples, run against a gateway as a newcomer would."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.live.server import ROOT

EXAMPLES = ROOT / "examples"
QUESTIONS = ("My name is Ada. Say hello.", "I like green tea.", "What do you know about me?")


def printed(gateway, *command):
    """Return the lines that an example prints."""
    environment = {"PATH": os.environ["PATH"], "OPENAI_BASE_URL": gateway.url}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def heard(upstream):
    """Return what the user has said in each request."""
    bodies = [request.body for request in upstream.requests]
    return [
        [block["text"] for m in body["messages"] if m["role"] == "user" for block in m["content"]]
        for body in bodies
    ]


GROWING = [list(QUESTIONS[:count]) for count in (1, 2, 3)]


def test_python(remembering, upstream):
    """The conversation is remembered, told of and deleted."""
    lines = printed(remembering, sys.executable, str(EXAMPLES / "session_continuity.py"))
    assert [line.removeprefix("> ") for line in lines[:6:2]] == list(QUESTIONS)
    assert lines[1:6:2] == [f"You said: {question}" for question in QUESTIONS]
    assert lines[6:] == ["1 session(s); 6 messages in this one.", "The session is deleted."]
    assert heard(upstream) == GROWING


def test_curl(remembering, upstream):
    """Every line of curl is answered with JSON, and the conversation is remembered."""
    lines = printed(remembering, "sh", str(EXAMPLES / "session_curl_example.sh"))
    answers = [json.loads(line) for line in lines if not line.startswith(">")]
    *turns, listed, told, stats, deleted = answers
    texts = [turn["choices"][0]["message"]["content"] for turn in turns]
    assert texts == [f"You said: {question}" for question in QUESTIONS]
    assert (listed["total"], stats["turns"], stats["resumed_turns"]) == (1, 3, 2)
    assert [message["content"] for message in told["messages"][::2]] == list(QUESTIONS)
    assert deleted == {"session_id": told["session_id"], "deleted": True}
    assert heard(upstream) == GROWING
