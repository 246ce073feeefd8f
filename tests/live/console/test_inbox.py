"""The inbox in a real browser, in front of real turns of Claude Code that wait."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.live.console.conftest import HOME
from tests.support.browser import DESKTOP, PHONE, axe
from tests.support.keyed_gateway import KeyedGateway
from tests.support.mcp_servers import eliciting, write_config
from tests.support.server import eventually

INBOX = f"{HOME}/inbox"
ASK = {"profile": "agent", "permission_mode": "ask"}
ATTACK = "<img src=x onerror=document.title='attacked'>"
TOOLS = ["Read", "Write", "Edit", "AskUserQuestion"]
QUESTIONS = [
    {
        "question": "Which colour?",
        "header": "Colour",
        "options": [
            {"label": "Red", "description": "as a rose"},
            {"label": "Blue", "description": ATTACK},
        ],
    }
]
# Notifications as a browser shows them, once its user has allowed them.
NOTIFICATIONS = """
window.shown = [];
window.Notification = class {
  static permission = "default";
  static async requestPermission() { return (this.permission = "granted"); }
  constructor(title, { body }) { shown.push(`${title}: ${body}`); }
};
"""


@pytest.fixture(scope="module")
def keyed(_servers, tmp_path_factory):
    """A gateway with the keys of the admin eve, of bob, whose agents may ask, and of ann."""
    folder = tmp_path_factory.mktemp("inbox")
    ceilings: dict[str, dict[str, Any]] = {
        "eve": {"admin": True},
        "bob": {"tools": TOOLS, "mcp_servers": ["asks"]},
        "ann": {},
    }
    config = write_config(folder / "mcp.json", asks=eliciting())
    settings = {
        "CLAUDE_TOOLS": ",".join(TOOLS),
        "MCP_CONFIG": config,
        "MCP_TIMEOUT": "60000",
        "MCP_TOOL_TIMEOUT": "200000",
        "POOL_SIZE_OTHER": "0",
    }
    return KeyedGateway(_servers, folder, ceilings, **settings)


@pytest.fixture
def ask(keyed):
    """Return a function that asks as bob in a thread, whose answer's text it returns later."""

    def answer(text: str, options: dict[str, Any]) -> str:
        status, body = keyed.ask("bob", text, **options)
        assert status == 200, body
        return str(body["choices"][0]["message"]["content"])

    with ThreadPoolExecutor(4) as threads:
        yield lambda text, claude=ASK, **more: threads.submit(
            answer, text, {"claude": claude, **more}
        )


def write(path: str, content: str = "x") -> str:
    given = json.dumps({"file_path": path, "content": content})
    return f"[[tool Write {given}]] [[result]]"


# Lets the page's next request fail.
FAIL_ONCE = """
const { open } = XMLHttpRequest.prototype;
XMLHttpRequest.prototype.open = function (method, url, ...rest) {
  XMLHttpRequest.prototype.open = open;
  return open.call(this, method, "/console/none", ...rest);
};
"""


def pending(keyed) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = keyed.call("bob", "GET", "/v1/approvals")[2]["data"]
    return found


def badge(browser) -> str:
    return str(browser.text("[data-inbox-count]:not([hidden]) span"))


def test_tools(browser, sign_in, ask, keyed):
    """A tool that begins to wait appears, with its change of a file; it is approved or denied."""
    sign_in("bob", INBOX)
    assert browser.shows("Nothing waits")
    first = ask(write("first.txt", f"one\n{ATTACK}"), session_id="s")
    assert browser.shows("Use the tool Write?", "first.txt", f"+{ATTACK}", "Expires in 9 min")
    assert badge(browser) == "1"
    browser.press("Approve for the session")
    assert browser.shows("Approved", "for the whole session", "Nothing waits")
    assert first.result(60).startswith("File created")

    second, third = ask(write("second.txt")), ask(write("third.txt"))
    assert browser.wait(lambda: badge(browser) == "2")
    browser.fill(".approval .reason", "Not <b>now</b>.")
    browser.press("Deny")
    assert browser.shows("Denied")
    (left,) = browser.wait(lambda: len(pending(keyed)) == 1 and pending(keyed))
    browser.fill(".approval .reason", "No.")
    assert keyed.call("eve", "POST", f"/v1/approvals/{left['id']}", {"decision": "approve"})
    assert browser.wait(lambda: badge(browser) == "")
    browser.press("Deny")
    assert browser.shows("Approved before, by eve", "Nothing has changed")
    texts = {turn.result(60) for turn in (second, third)}
    assert any(text.startswith("File created") for text in texts)
    assert "Write was not approved: Not <b>now</b>." in texts


def test_lost_card(browser, sign_in, ask):
    """A tool that could not be shown when it began to wait is shown soon after."""
    sign_in("bob", INBOX)
    browser.run(FAIL_ONCE)
    turn = ask(write("late.txt"))
    assert browser.shows("Not found")
    assert browser.shows("Use the tool Write?", "late.txt")
    assert any("404" in text for text in browser.complaints())
    browser.press("Deny")
    assert browser.shows("Denied")
    turn.result(60)


def test_questions(browser, sign_in, ask):
    """A question is answered by an option, and an MCP server's form by its fields."""
    sign_in("bob", INBOX)
    colour = ask(f"[[tool AskUserQuestion {json.dumps({'questions': QUESTIONS})}]] [[result]]")
    assert browser.shows("The model has a question", "Which colour?", ATTACK)
    browser.press("Answer")
    assert browser.shows("do not match answer_schema")
    browser.find("input[type=radio][value='1']").click()
    browser.press("Answer")
    assert browser.shows("Approved")
    assert '"Which colour?"="Blue"' in colour.result(60)

    trip = ask("[[tool mcp__asks__book {}]] [[result]]", {**ASK, "mcp_servers": ["asks"]})
    assert browser.shows("Use the tool mcp__asks__book?")
    browser.press("Approve")
    assert browser.shows("The MCP server asks asks", "Where do you go?")
    browser.fill("[name=f0]", "Oslo")
    browser.fill("[name=f1]", "3")
    browser.find("input[type=radio][value='0']").click()
    browser.press("Answer")
    assert "Trip(city='Oslo', nights=3, travel_class='first')" in trip.result(60)


def test_notifications(browser, sign_in, ask, keyed):
    """The switches ask for permission, and notify of what waits and of the end of a long turn."""
    sign_in("bob", INBOX)
    browser.run(NOTIFICATIONS)
    assert browser.run("return localStorage.length") == 0
    for name in ("needs", "done"):
        browser.find(f"[data-notify={name}]").click()
    turn = ask(write("secret.txt") + " [[pause 11]] [[say end]]")
    shown = browser.wait(lambda: browser.run("return shown.length === 1 && shown"))
    assert shown == ["Claude Code needs you: Write waits for your decision."]
    browser.press("Approve")
    turn.result(60)
    shown = browser.wait(lambda: browser.run("return shown.length === 2 && shown"))
    assert shown[1] == "Claude Code is done: A turn of yours has ended."
    kept = browser.run("return JSON.stringify([localStorage, sessionStorage])")
    assert "secret.txt" not in kept
    browser.open(browser.url)
    assert browser.run("return localStorage['console-notify-done']") == "on"


def test_others(browser, sign_in, ask, keyed, base):
    """Other callers see and decide nothing of it; an admin sees it on a phone, too."""
    turn = ask(write("of-bob.txt"))
    (approval,) = browser.wait(lambda: pending(keyed))
    sign_in("ann", INBOX)
    assert browser.shows("Nothing waits")
    script = """
    const token = JSON.parse(document.body.getAttribute("hx-headers"));
    const headers = { "HX-Request": "true", ...token };
    const body = new URLSearchParams({ decision: "approve" });
    const sent = fetch(arguments[0], { method: "POST", headers, body });
    return sent.then((answer) => answer.text());
    """
    assert "There is no approval" in browser.run(script, f"{INBOX}/{approval['id']}")
    assert pending(keyed)
    browser.press("Sign out")
    assert browser.shows("Use a key of this gateway")
    for size, dark in ((DESKTOP, False), (PHONE, True)):
        browser.look(size, dark=dark)
        if size == DESKTOP:
            sign_in("eve", INBOX)
        assert browser.shows("Use the tool Write?", "of-bob.txt")
        assert browser.faults(axe()) == []
        wide, window = browser.run("return [document.documentElement.scrollWidth, innerWidth]")
        assert wide <= window
    browser.press("Deny")
    assert eventually(turn.done)
