"""Pictures of the console's pages, in the demo: make screenshots

All pages, on a desktop and a phone and in both themes, go into build/screenshots; some of them go
into docs/. It needs Debian's chromium and chromium-driver.
"""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.console_work import background_work, wait_for
from bench.demo_picture import ROOT, demo
from tests.support.browser import DESKTOP, PHONE, Browser
from wrapper.smoke import Client

FOLDER = ROOT / "build" / "screenshots"
IN_DOCS = (
    "overview-desktop-light",
    "chat-desktop-light",
    "inbox-desktop-light",
    "batches-desktop-light",
    "usage-desktop-dark",
    "session-phone-light",
)
LOOKS = tuple(itertools.product((DESKTOP, PHONE), (False, True)))
# A list is shown with its first row opened.
OPEN_FIRST = "document.querySelector('.requests details')?.setAttribute('open', '')"
# What is asked before the pictures are taken: a session, a model, and a message.
QUESTIONS = (
    ("support-4711", "haiku", "How do I reset my password?"),
    ("support-4711", "haiku", "And by phone?"),
    (
        "release-notes",
        "sonnet",
        'Write them. [[usage {"input_tokens": 900, "output_tokens": 700}]]',
    ),
    (
        "review-of-main",
        "opus",
        'Go on. [[usage {"cache_read_input_tokens": 9000, "output_tokens": 90}]]',
    ),
)
# What is asked on the chat page.
CONVERSATION = """How do I move my commit to a branch?
[[think The commit stays where it is; a branch is a name for it.]]
[[tool Bash {"command": "ls"}]]
[[say Make a branch where you are, and **move `main` back**:

```sh
git switch -c fix
git branch -f main origin/main
```

| command | does |
| --- | --- |
| `git switch -c` | makes a branch and checks it out |
| `git branch -f` | moves a branch |]]"""
# What waits for approval meanwhile.
CHANGE = {
    "file_path": "docs/release-notes.md",
    "content": "# Release notes\n\n- Invoices have totals in words.\n- Signing in is faster.\n",
}
ASK = {"profile": "agent", "permission_mode": "ask"}


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with demo() as printed, tempfile.TemporaryDirectory() as profile:
        url = next(line for line in printed if line.startswith("curl")).split()[2].split("/v1")[0]
        for question in QUESTIONS:
            ask(url, *question)
        Client(url).ask("POST", "/v1/responses", {"model": "haiku", "input": "Say hello."})
        browser = Browser(Path(profile))
        try:
            with waiting(url), background_work(url) as paths:
                take(browser, url, paths)
        finally:
            browser.close()
    for name in IN_DOCS:
        shutil.copy(FOLDER / f"{name}.png", ROOT / "docs" / f"console-{name}.png")


def take(browser: Browser, url: str, paths: Sequence[str]) -> None:
    """Take a picture of every page in every look, and of those with these *paths*."""
    browser.open(f"{url}/console")
    pages = browser.run("return [...document.querySelectorAll('nav a')].map(a => a.href)")
    paths = ["sessions/session?id=support-4711", *paths]
    pages += [f"{url}/console/{path}" for path in paths]
    for page, (size, dark) in itertools.product(pages, LOOKS):
        browser.look(size, dark=dark)
        open_page(browser, page)
        browser.find("h1")
        browser.run(OPEN_FIRST)
        if page.endswith("/chat"):
            chat(browser)
        name = page.partition("?")[0].rpartition("/")[2].replace("console", "overview")
        window, theme = "desktop" if size == DESKTOP else "phone", "dark" if dark else "light"
        browser.save(FOLDER / f"{name}-{window}-{theme}.png")


def open_page(browser: Browser, page: str) -> None:
    """Open a page. If it is live, wait until the streams of earlier pages leave one for it."""

    def follows() -> bool:
        browser.open(page)
        return not browser.has("[data-live-state]") or browser.shows("follows the gateway")

    wait_for("stream for the page", follows)


def chat(browser: Browser) -> None:
    """Ask a question, wait for the answer, and hide what tells the model what to say."""
    field = browser.find("#prompt")
    browser.run("arguments[0].value = arguments[1]", field, CONVERSATION)
    field.submit()
    browser.find("#turns footer")
    question = CONVERSATION.partition("\n")[0]
    browser.run("document.querySelector('.other .said').textContent = arguments[0]", question)


@contextmanager
def waiting(url: str) -> Iterator[None]:
    """Let the change of a file wait for approval until the context ends."""
    client, text = Client(url), f"[[tool Write {json.dumps(CHANGE)}]] [[result]]"
    with ThreadPoolExecutor(1) as threads:
        threads.submit(ask, url, "release-notes", "sonnet", text, claude=ASK)
        pending = wait_for("pending approval", lambda: client.ask("GET", "/v1/approvals")["data"])
        try:
            yield
        finally:
            client.ask("POST", f"/v1/approvals/{pending[0]['id']}", {"decision": "deny"})


def ask(url: str, session: str, model: str, text: str, **more: Any) -> None:
    messages = [{"role": "user", "content": text}]
    body = {"session_id": session, "model": model, "messages": messages, **more}
    Client(url).ask("POST", "/v1/chat/completions", body)


if __name__ == "__main__":
    main()
