"""Finished requests in a real browser: find one, open it, and share what one sees."""

from __future__ import annotations

import pytest

from tests.live.console.conftest import HOME
from tests.support.browser import DESKTOP, PHONE, axe

PAGE = f"{HOME}/requests"
ATTACK = "<img src=x onerror=document.title='attacked'>"


def test_find_and_open(browser, sign_in, keyed, base):
    """One finds a request by its session, and opens it to its times and tokens, or its error."""
    keyed.ask("bob", "Hi", session_id=f"talk-{ATTACK}")
    status, _, _ = keyed.post("bob", "Hi", model=ATTACK)
    assert status == 404
    sign_in("bob", PAGE)
    browser.fill("#id", f"talk-{ATTACK}")
    browser.press("Show")
    assert browser.shows("Id of a session or request", "done")
    assert browser.run("return document.querySelectorAll('.requests details').length") == 1
    browser.find(".requests summary").click()
    assert browser.shows(ATTACK, "Prompt tokens", "First token", "Total")
    shared = browser.url
    browser.open(f"{base}{PAGE}?status=failed")
    browser.find(".requests summary").click()
    assert browser.shows("model_not_found", "404")
    browser.open(shared)
    assert browser.run("return document.querySelector('#id').value") == f"talk-{ATTACK}"
    assert browser.run("return document.title").startswith("Requests")


def test_another_keys_request(browser, sign_in, keyed):
    """Another key's request cannot be found by its id."""
    keyed.server.ask("Hi", headers={**keyed.header("eve"), "x-request-id": "of-eve"})
    sign_in("ann", f"{PAGE}?id=of-eve")
    assert browser.shows("Nothing found")


@pytest.mark.parametrize(("size", "dark"), [(DESKTOP, True), (PHONE, False)])
def test_looks_of_an_opened_request(browser, sign_in, keyed, size, dark):
    """An opened request fits the window, and has no serious fault of accessibility."""
    keyed.ask("bob", "Hi", session_id="a-rather-long-id-of-a-session-" * 4)
    browser.look(size, dark=dark)
    sign_in("eve", PAGE)
    browser.find(".requests summary").click()
    assert browser.faults(axe()) == []
    wide, window = browser.run("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= window
