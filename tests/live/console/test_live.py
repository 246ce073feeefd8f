"""The overview in a real browser: what turns of Claude Code do at the moment, and stopping them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from selenium.common.exceptions import StaleElementReferenceException

from tests.live.console.conftest import HOME
from tests.support.server import MODEL

ASK = {"profile": "agent", "permission_mode": "ask"}
WRITE = json.dumps({"file_path": "secret.txt", "content": "x"})
SLOW = "[[deltas 150]] [[pause 0.2]]"


@pytest.fixture
def background():
    """Run requests in threads, which end before the test does."""
    with ThreadPoolExecutor(4) as threads:
        yield threads.submit


def stop(browser, name):
    def press():
        with suppress(StaleElementReferenceException):  # the live page has just replaced it
            browser.find(f"button[aria-label='Stop the turn of {name}']").click()
            return True
        return False

    assert browser.wait(press)
    browser.confirm()


def test_activity(browser, sign_in, keyed, background):
    """The page says what each turn does, with a tool's name and nothing of its input."""
    sign_in("eve")
    asked = background(keyed.ask, "bob", f"[[tool Write {WRITE}]] {SLOW}", claude=ASK)
    assert browser.shows("bob", "waits for approval of Write", "Memory left", "Queue")
    assert "secret.txt" not in browser.text()
    browser.find("nav a[href$='/inbox']").click()
    browser.press("Approve")
    assert browser.shows("Approved")
    browser.press("Overview")
    assert browser.shows("writes")
    stop(browser, "bob")
    status, body = asked.result(60)
    assert (status, body["error"]["code"]) == (503, "turn_stopped")
    assert browser.shows("No turn is running")


@pytest.mark.parametrize("api", ["chat", "responses", "messages"])
def test_stop_a_stream(browser, sign_in, keyed, api):
    """A caller stops their own stream, which then ends with an error of its API, at once."""
    sign_in("bob")
    bodies: dict[str, tuple[str, dict[str, Any]]] = {
        "chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": SLOW}]}),
        "responses": ("/v1/responses", {"input": SLOW}),
        "messages": (
            "/v1/messages",
            {"messages": [{"role": "user", "content": SLOW}], "max_tokens": 9000},
        ),
    }
    path, body = bodies[api]
    with ThreadPoolExecutor(1) as threads:
        headers = keyed.header("bob")
        stream = {"model": MODEL, "stream": True, **body}
        answer = threads.submit(keyed.server.call, "POST", path, stream, headers)
        assert browser.shows("writes" if api != "messages" else "answers")
        stop(browser, "bob")
        status, _, data = answer.result(60)
    assert status == 200
    assert "bob has stopped this turn." in data.decode()[-2000:]


@pytest.mark.parametrize(
    ("path", "words"),
    [("", "This page no longer follows the gateway"), ("/inbox", "no longer shown here")],
)
def test_the_end_of_a_sign_in(browser, sign_in, path, words):
    """A page that is open when its sign-in ends says so, and complains of nothing."""
    sign_in("bob", f"{HOME}{path}")
    script = """
    const headers = JSON.parse(document.body.getAttribute("hx-headers"));
    return fetch("/console/sign-out", {method: "POST", headers, redirect: "manual"}).then(() => 1);
    """
    assert browser.run(script)
    assert browser.shows(words, "Your sign-in may have ended")


def test_stop_of_another(browser, sign_in, keyed, background):
    """Another caller neither sees a turn nor stops it by its number."""
    asked = background(keyed.ask, "bob", SLOW)
    sign_in("eve")
    read = """
    const fields = ["worker", "number"].map((name) => document.querySelector(`[name=${name}]`));
    return fields.every(Boolean) && fields.map((field) => field.value);
    """
    turn = browser.wait(lambda: browser.run(read))
    browser.press("Sign out")
    assert browser.shows("Use a key of this gateway")
    sign_in("ann")
    assert browser.shows("No turn is running")
    script = """
    const headers = JSON.parse(document.body.getAttribute("hx-headers"));
    const [worker, number] = arguments;
    const body = new URLSearchParams({ worker, number });
    return fetch("/console/stop", { method: "POST", headers, body }).then((sent) => sent.status);
    """
    assert browser.run(script, *turn) == 409
    assert any("409" in text for text in browser.complaints())
    assert not asked.done()
    browser.press("Sign out")
    assert browser.shows("Use a key of this gateway")
    sign_in("bob")
    stop(browser, "bob")
    assert asked.result(60)[0] == 503
