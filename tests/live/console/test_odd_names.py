"""Names that are long, or in other scripts, in every list of the console, in a real browser."""

from __future__ import annotations

from typing import Any

import pytest

from tests.live.console.conftest import HOME
from tests.support.browser import DESKTOP, PHONE
from tests.support.keyed_gateway import KeyedGateway
from tests.support.server import MODEL

LONG = "x" * 64
SESSIONS = ("🦄 семья 日本語", "مرحبا بالعالم", "L" * 128, "\u202egnp.exe")
FILES = ("🦄.jsonl", "N" * 200 + ".jsonl", "مرحبا.jsonl")
LINE = b'{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {}}'
LISTS = ("", "/sessions", "/responses", "/batches", "/files", "/requests", "/keys")
TOO_WIDE = """
    const boxes = [document.documentElement, ...document.querySelectorAll(".table")];
    return boxes.filter((box) => box.scrollWidth > box.clientWidth).map((box) => box.className);
"""


@pytest.fixture(scope="module")
def keyed(_servers, tmp_path_factory) -> KeyedGateway:
    """A gateway in which a key with a long name, which has limits, has stored much."""
    ceilings: dict[str, dict[str, Any]] = {
        "eve": {"admin": True},
        LONG: {"usd_per_day": 5, "models": ["claude-sonnet-*", "haiku"]},
    }
    keyed = KeyedGateway(_servers, tmp_path_factory.mktemp("keys"), ceilings)
    for session in SESSIONS:
        assert keyed.ask(LONG, "Hi", session_id=session)[0] == 200
    with keyed.client(LONG) as client:
        client.responses.create(model=MODEL, input="Hi")
        files = [client.files.create(file=(name, LINE), purpose="batch") for name in FILES]
        client.batches.create(
            input_file_id=files[0].id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
            metadata={"🦄": "v" * 512},
        )
    return keyed


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_lists_fit(browser, sign_in, base, size):
    """Every list fits its window: nothing has to be moved sideways to be read or pressed."""
    browser.look(size)
    sign_in("eve")
    for path in (*LISTS, f"/keys/key?name={LONG}", f"/files?key={LONG}"):
        browser.open(f"{base}{HOME}{path}")
        browser.find("h1")
        assert browser.run(TOO_WIDE) == [], path


def test_names_are_whole(browser, sign_in, base):
    """Names stand there letter for letter; what turns others round is shown as a code."""
    sign_in("eve", f"{HOME}/sessions")
    assert browser.shows(*SESSIONS[:3], "⟨U+202E⟩gnp.exe")
    browser.open(f"{base}{HOME}/files")
    assert browser.shows(*FILES, LONG)
    browser.open(f"{base}{HOME}/requests?id={SESSIONS[0]}")
    browser.find(".requests summary").click()
    assert browser.shows(SESSIONS[0])
