"""Pictures of the console's pages, in the demo: make screenshots

All pages, on a desktop and a phone and in both themes, go into build/screenshots; three of them go
into docs/. It needs Debian's chromium and chromium-driver.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path

from bench.demo_picture import ROOT, demo
from tests.support.browser import DESKTOP, PHONE, Browser
from wrapper.smoke import Client

FOLDER = ROOT / "build" / "screenshots"
IN_DOCS = ("overview-desktop-light", "usage-desktop-dark", "session-phone-light")
LOOKS = tuple(itertools.product((DESKTOP, PHONE), (False, True)))
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


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with demo() as printed, tempfile.TemporaryDirectory() as profile:
        url = next(line for line in printed if line.startswith("curl")).split()[2].split("/v1")[0]
        for question in QUESTIONS:
            ask(url, *question)
        browser = Browser(Path(profile))
        try:
            take(browser, url)
        finally:
            browser.close()
    for name in IN_DOCS:
        shutil.copy(FOLDER / f"{name}.png", ROOT / "docs" / f"console-{name}.png")


def take(browser: Browser, url: str) -> None:
    """Take a picture of every page in every look."""
    browser.open(f"{url}/console")
    pages = browser.run("return [...document.querySelectorAll('nav a')].map(a => a.href)")
    pages.append(f"{url}/console/sessions/session?id=support-4711")
    for page, (size, dark) in itertools.product(pages, LOOKS):
        browser.look(size, dark=dark)
        browser.open(page)
        browser.find("h1")
        name = page.partition("?")[0].rpartition("/")[2].replace("console", "overview")
        window, theme = "desktop" if size == DESKTOP else "phone", "dark" if dark else "light"
        browser.save(FOLDER / f"{name}-{window}-{theme}.png")


def ask(url: str, session: str, model: str, text: str) -> None:
    body = {"session_id": session, "model": model, "messages": [{"role": "user", "content": text}]}
    Client(url).ask("POST", "/v1/chat/completions", body)


if __name__ == "__main__":
    main()
