"""Snippets as one copies them from the console, run as they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import httpx

from tests.live.console.conftest import HOME
from tests.support import cli
from tests.support.browser import PHONE
from tests.support.server import DEADLINE

PAGE = f"{HOME}/connect"


def run(command, folder, **variables):
    """Return what a command prints."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **variables}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# As Cursor's servers are reported to send it, with its prompt and all but one tool left out.
CURSOR = {
    "messages": [
        {"role": "system", "content": "You are an AI coding assistant, powered by sonnet."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "<additional_data>...</additional_data>"},
                {"type": "text", "text": "<user_query>[[say Good day.]]</user_query>"},
            ],
        },
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "read_file",
                "description": "Read a file.",
                "parameters": {
                    "type": "object",
                    "properties": {"target_file": {"type": "string"}},
                    "required": ["target_file"],
                },
            },
        }
    ],
    "tool_choice": "auto",
    "temperature": 0,
    "user": "github|user_01",
    "stream": True,
    "stream_options": {"include_usage": True},
}


def replayed(**settings):
    """Return the answer to a request of Cursor's with the three *settings* that it takes."""
    key, url, model = settings.values()
    with httpx.stream(
        "POST",
        f"{url}/chat/completions",
        json={"model": model, **CURSOR},
        headers={"Authorization": f"Bearer {key}"},
        timeout=DEADLINE,
    ) as response:
        lines = [*response.iter_lines()]
    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    assert lines[-2:] == ["data: [DONE]", ""]
    assert chunks[-1]["usage"]["total_tokens"] > 0
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


def test_run_what_is_shown(browser, sign_in, keyed, tmp_path):
    """One chooses a client, types a key, and runs what the page then shows."""
    browser.look(PHONE)
    sign_in("bob", PAGE)

    def shown(client):
        browser.press(client)
        browser.fill("#key", keyed.keys["bob"])
        assert browser.shows(keyed.keys["bob"])
        return browser.run("return document.querySelector('.copyable code').textContent")

    answer = json.loads(run(["sh", "-c", shown("curl")], tmp_path))
    assert answer["choices"][0]["message"]["content"] == "You said: Say hello."
    printed = run([sys.executable, "-c", shown("OpenAI for Python")], tmp_path)
    assert printed == "You said: Say hello.\n"
    settings = dict(line.split(":", 1) for line in shown("Cursor").splitlines())
    assert replayed(**{name: value.strip() for name, value in settings.items()}) == "Good day."
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "claude").symlink_to(cli.current())
    quiet = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1"}
    path = f"{tmp_path / 'bin'}:/usr/bin:/bin"
    command = f"{shown('Claude Code')} -p '[[say Good day.]]'"
    assert run(["sh", "-c", command], tmp_path, PATH=path, **quiet) == "Good day.\n"


def test_nothing_is_sent(browser, sign_in, keyed):
    """What one types as the key stays in the page, and what is no key is not filled in."""
    sign_in("bob", PAGE)
    browser.fill("#key", "'; rm -rf /")
    assert "rm -rf" not in browser.text("main")
    browser.fill("#key", keyed.keys["bob"])
    browser.press("Show")
    assert browser.shows("YOUR_KEY")
    assert keyed.keys["bob"] not in browser.url
    kept = browser.run("return JSON.stringify([localStorage, sessionStorage, document.cookie])")
    assert keyed.keys["bob"] not in kept
