"""The examples, run against a gateway as a newcomer would run them."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys

import pytest
from PIL import Image

from tests.support.server import ROOT

EXAMPLES = ROOT / "examples"
QUESTIONS = ("My name is Ada. Say hello.", "I like green tea.", "What do you know about me?")


def printed(gateway, *command):
    """Return the lines that an example prints."""
    environment = {"PATH": os.environ["PATH"], "OPENAI_BASE_URL": gateway.url}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def heard(upstream):
    """Return the user's text in each request."""
    bodies = [request.body for request in upstream.requests]
    return [
        [block["text"] for m in body["messages"] if m["role"] == "user" for block in m["content"]]
        for body in bodies
    ]


GROWING = [list(QUESTIONS[:count]) for count in (1, 2, 3)]


SHOWN = {
    "python_sync.py": r"You said: What is a gateway\?\n\S+: \d+ tokens in, 6 out",
    "streaming.py": r"You said: Count from one to ten\.\n7 tokens",
    "functions.py": r'> get_temperature {"city": "Oslo"}\nIt is 4 °C in Oslo\.',
    "responses.py": r'> get_temperature {"city": "Oslo"}\nIt is 4 °C in Oslo\.',
    "structured_output.py": r"City\(name='Oslo', country='Oslo', people=0\)",
}


def test_every_example_is_run():
    """Each example has a test; some need a client's environment."""
    here = {*SHOWN, "python_async.py", "pictures.py", "curl.sh"}
    sessions = {"session_continuity.py", "session_curl_example.sh"}
    elsewhere = {"node.mjs", "with_langchain.py", "codex.md", "with_anthropic.py"}
    assert {path.name for path in EXAMPLES.glob("*.*")} == here | sessions | elsewhere


@pytest.mark.parametrize(("name", "shown"), SHOWN.items(), ids=SHOWN)
def test_program(remembering, name, shown):
    """The program prints the model's answer."""
    lines = printed(remembering, sys.executable, str(EXAMPLES / name))
    assert re.fullmatch(shown, "\n".join(lines))


def test_at_once(remembering):
    """The program asks several questions at once, and prints each answer with its question."""
    lines = printed(remembering, sys.executable, str(EXAMPLES / "python_async.py"))
    questions = ["What is tea?", "What is coffee?", "What is cocoa?"]
    assert [line.removeprefix("> ") for line in lines[::2]] == questions
    assert lines[1::2] == [f"You said: {question}" for question in questions]


def test_pictures(remembering, upstream, tmp_path):
    """The example's image reaches the model, and so does one that is named."""
    own = tmp_path / "own.png"
    Image.new("RGB", (8, 8), "green").save(own)
    for arguments in ((), (str(own),)):
        lines = printed(remembering, sys.executable, str(EXAMPLES / "pictures.py"), *arguments)
        assert lines == ["You said: What is in this picture?"]
    contents = [request.body["messages"][0]["content"] for request in upstream.requests]
    sent = [block["source"]["data"] for c in contents for block in c if block["type"] == "image"]
    assert [base64.b64decode(data) for data in sent][1:] == [own.read_bytes()]


def test_curl(remembering):
    """The script prints the answer as JSON, then as a stream."""
    whole, *events = filter(None, printed(remembering, "sh", str(EXAMPLES / "curl.sh")))
    assert json.loads(whole)["choices"][0]["message"]["content"] == "You said: Say hello."
    assert events[0].startswith("data: {")
    assert events[-1] == "data: [DONE]"


def test_session(remembering, upstream):
    """The program continues, shows and deletes its conversation."""
    lines = printed(remembering, sys.executable, str(EXAMPLES / "session_continuity.py"))
    assert [line.removeprefix("> ") for line in lines[:6:2]] == list(QUESTIONS)
    assert lines[1:6:2] == [f"You said: {question}" for question in QUESTIONS]
    assert lines[6:] == ["1 session(s); 6 messages in this one.", "The session is deleted."]
    assert heard(upstream) == GROWING


def test_session_with_curl(remembering, upstream):
    """Each request of the script gets JSON, and the conversation goes on."""
    lines = printed(remembering, "sh", str(EXAMPLES / "session_curl_example.sh"))
    answers = [json.loads(line) for line in lines if not line.startswith(">")]
    *turns, listed, told, stats, deleted = answers
    texts = [turn["choices"][0]["message"]["content"] for turn in turns]
    assert texts == [f"You said: {question}" for question in QUESTIONS]
    assert (listed["total"], stats["turns"], stats["resumed_turns"]) == (1, 3, 2)
    assert [message["content"] for message in told["messages"][::2]] == list(QUESTIONS)
    assert deleted == {"session_id": told["session_id"], "deleted": True}
    assert heard(upstream) == GROWING
