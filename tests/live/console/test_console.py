"""The console in a real browser, in front of the real gateway and the scripted model."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from tests.live.console.conftest import HOME
from tests.support.browser import DESKTOP, PHONE, axe
from tests.support.server import MODEL, eventually
from tests.support.socket_client import Client, request
from wrapper.console import live

# One theme on each of the two sizes shows both.
LOOKS = [pytest.param(DESKTOP, False, id="desktop"), pytest.param(PHONE, True, id="phone")]


def test_sign_in(browser, sign_in, base, keyed):
    """One signs in with a key, which the browser does not keep, and out again."""
    browser.open(f"{base}/")
    assert browser.shows("Use a key of this gateway")
    browser.fill("#key", keyed.keys["ann"])
    browser.press("Sign in")
    assert browser.shows("Running turns", "ann", "Sign out")
    kept = str(browser.cookies()) + browser.run(
        "return JSON.stringify([localStorage, sessionStorage])"
    )
    assert keyed.keys["ann"] not in kept
    assert browser.run("return document.cookie") == ""
    (stolen,) = browser.cookies()
    browser.press("Sign out")
    assert browser.shows("Use a key of this gateway")
    browser.set_cookie(stolen)
    browser.open(f"{base}{HOME}")
    assert browser.shows("Use a key of this gateway")


def test_overview_follows(browser, sign_in, keyed):
    """The overview shows a turn while it runs, without being loaded again."""
    sign_in("eve")
    browser.run("window.untouched = true")
    endless = request("[[deltas 900]] [[pause 0.2]]", stream=True, headers=keyed.header("bob"))
    with Client(keyed.server).send(endless):
        assert browser.shows("bob", "writes")
    assert eventually(lambda: "No turn is running" in browser.text())
    assert browser.run("return window.untouched")


HIDE = """
Object.defineProperty(document, "hidden", { value: true });
document.dispatchEvent(new Event("visibilitychange"));
"""


def test_overview_in_use(browser, sign_in, keyed):
    """What happens while the reader is in the overview is shown when they leave it."""
    sign_in("eve")
    endless = request("[[deltas 900]] [[pause 0.2]]", stream=True, headers=keyed.header("bob"))
    with Client(keyed.server).send(endless):
        assert browser.shows("bob", "writes")
        browser.run("document.querySelector('[data-live] button').focus()")
    assert eventually(lambda: not keyed.server.health()["turns"]["running"])
    time.sleep(2 * live.SECONDS + 1)  # until the page has heard of it
    assert "writes" in browser.text()
    browser.run(HIDE)  # which ends the stream, so that nothing else comes
    browser.run("document.activeElement.blur()")
    assert browser.shows("No turn is running")


def test_theme(browser, sign_in):
    """The switch changes the theme, and the browser remembers it."""
    sign_in("ann")
    browser.press("Theme: system")
    browser.press("Theme: light")
    background = "return getComputedStyle(document.body).backgroundColor"
    dark = browser.run(background)
    browser.open(browser.url)
    assert browser.run(background) == dark
    browser.press("Theme: dark")
    assert browser.run(background) != dark


def test_api_docs(browser, keyed, base):
    """The page about the API sends a request with the key that one gives it."""
    browser.open(f"{base}/docs")
    assert browser.shows("/v1/chat/completions")
    browser.press("Authorize")
    browser.fill("#auth-bearer-value", keyed.keys["ann"])
    browser.find(".modal-btn.auth.authorize").click()
    browser.find(".btn-done").click()
    browser.find("[id$=post_v1_chat_completions] .opblock-summary-control").click()
    browser.find(".execute").click()
    assert browser.shows("Server response", "completion_tokens")
    kept = browser.run("return JSON.stringify([localStorage, sessionStorage, document.cookie])")
    assert keyed.keys["ann"] not in kept


# Cells of tables whose words do not fit, such as a status of which each digit has a line.
CRAMPED = """
    const cells = [...document.querySelectorAll(".responses-table > :is(thead, tbody) > tr > *")];
    const isCramped = (cell) => cell.checkVisibility() && cell.clientWidth < 40;
    return cells.filter(isCramped).map((cell) => cell.innerText);
"""


@pytest.mark.parametrize(("size", "dark"), LOOKS)
def test_looks_of_the_api_docs(browser, base, size, dark):
    """The page about the API fits its window, and has no serious fault of accessibility."""
    browser.look(size, dark=dark)
    browser.open(f"{base}/docs")
    browser.find("[id$=post_v1_chat_completions] .opblock-summary-control").click()
    browser.find("textarea")
    assert browser.run(CRAMPED) == []
    assert browser.faults(axe()) == []
    wide, window = browser.run("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= window


def test_framing(browser, base, tmp_path: Path):
    """No page can put the console into a frame."""
    page = tmp_path / "frame.html"
    page.write_text(f'<iframe src="{base}{HOME}"></iframe>')
    browser.open(page.as_uri())
    assert any("frame-ancestors" in text or "refused" in text for text in browser.complaints())


CHAT = "/v1/chat/completions"
ATTACK = "<img src=x onerror=document.title='attacked'>"


def test_sessions(browser, sign_in, keyed, base):
    """A session whose id and texts are HTML is shown as text, and deleted where it stands."""
    keyed.ask("bob", f"Say {ATTACK}", session_id=ATTACK)
    keyed.ask("bob", "Hi", session_id="other")
    sign_in("bob", f"{HOME}/sessions")
    assert browser.shows(ATTACK, "other")
    browser.press(ATTACK)
    assert browser.shows(f"You said: Say {ATTACK}")
    assert browser.run("return document.title").startswith(ATTACK)
    browser.press("All sessions")
    browser.find("button[aria-label='Delete other']").click()
    browser.confirm()
    assert eventually(lambda: "other" not in browser.text("table"))
    assert ATTACK in browser.text("table")
    browser.fill("#q", "none of them")
    assert browser.shows("Nothing found")
    browser.open(f"{base}{HOME}/sessions")
    browser.find(f"button[aria-label={json.dumps(f'Delete {ATTACK}')}]").click()
    browser.confirm()
    assert eventually(lambda: ATTACK not in browser.text("main"))


def test_another_keys_session(browser, sign_in, keyed, base):
    """Another key's session cannot be opened by its id; an admin finds, reads and deletes it."""
    for name in ("eve", "bob"):
        keyed.ask(name, "Hi", session_id=f"of-{name}")
    sign_in("ann", f"{HOME}/sessions/session?id=of-eve")
    assert browser.shows("Not found", "There is no session")
    assert any("404" in text for text in browser.complaints())
    browser.press("Sign out")
    assert browser.shows("Use a key of this gateway")
    sign_in("eve", f"{HOME}/sessions")
    assert browser.shows("of-eve", "of-bob")
    browser.fill("#key", "bob")
    assert eventually(lambda: "of-eve" not in browser.text("table"))
    browser.press("of-bob")
    assert browser.shows("You said: Hi", "Key")
    browser.press("Delete")
    browser.confirm()
    assert browser.shows("of-eve")
    assert "of-bob" not in browser.text("table")


# Goes on until it is cancelled.
ENDLESS = "[[deltas 90000]] [[pause 0.2]]"


def batch(client, *texts):
    """Begin a batch that asks for these texts, in a file whose name is HTML, and return it."""
    bodies = [{"model": MODEL, "messages": [{"role": "user", "content": text}]} for text in texts]
    lines = [
        {"custom_id": f"n{n}", "method": "POST", "url": CHAT, "body": body}
        for n, body in enumerate([*bodies, {}])
    ]
    content = "\n".join(map(json.dumps, lines)).encode()
    file = client.files.create(file=(ATTACK, content), purpose="batch")
    metadata = {ATTACK: ATTACK}
    return client.batches.create(
        input_file_id=file.id, endpoint=CHAT, completion_window="24h", metadata=metadata
    )


def test_background_work(browser, sign_in, keyed, base):
    """Batches and responses in the background are followed and cancelled; files are deleted.

    The names and values that a caller gives them stay text.
    """
    with keyed.client("bob") as client:
        begun = batch(client, "Hi", ENDLESS)
        response = client.responses.create(model=MODEL, input=ENDLESS, background=True)
    sign_in("bob", f"{HOME}/batches")
    browser.run("window.untouched = true")
    assert browser.shows("2 of 3 · 1 failed", "in progress")
    browser.press("Cancel")
    browser.confirm()
    assert browser.shows("cancelled", "3 of 3")
    assert browser.run("return window.untouched")
    browser.press(begun.id)
    assert browser.shows(ATTACK, "Metadata")
    fetch = "return fetch(document.querySelectorAll('a[download]')[1].href).then(r => r.text())"
    assert "chat.completion" in browser.run(fetch)
    browser.open(f"{base}{HOME}/responses")
    browser.press(response.id)
    assert browser.shows("in progress", "w1 w2")
    browser.press("Cancel")
    browser.confirm()
    assert browser.shows("cancelled", "w1 w2")
    browser.open(f"{base}{HOME}/files")
    assert browser.shows(ATTACK, "batch_output")
    browser.find(f"button[aria-label='Delete {begun.input_file_id}']").click()
    browser.confirm()
    assert eventually(lambda: begun.input_file_id not in browser.text("main"))
    assert browser.run("return document.title").startswith("Files")


def test_usage(browser, sign_in, keyed):
    """The plots are drawn, and drawn again in the other theme."""
    keyed.ask("bob", "Hi")
    sign_in("bob", f"{HOME}/usage")
    assert browser.wait(
        lambda: browser.run("return document.querySelectorAll('canvas').length") == 4
    )
    browser.press("Theme: system")
    assert browser.run("return document.querySelectorAll('canvas').length") == 4


def test_keys(browser, sign_in, keyed, base):
    """An admin creates a key, which is shown once, limits it and revokes it."""
    sign_in("eve", f"{HOME}/keys")
    browser.fill("#name", "<b>x</b>")
    browser.press("Create key")
    assert browser.shows("is no name for a caller")
    assert any("400" in text for text in browser.complaints())
    browser.fill("#name", "carol")
    browser.press("Create key")
    assert browser.shows("The key of carol", "sk-")
    browser.press("Set its limits")
    browser.fill("#usd_per_day", "2.5")
    browser.press("Save")
    assert browser.shows("Dollars per day: 2.5")
    assert "sk-" not in browser.text("main")
    browser.find("button[aria-label='Revoke carol']").click()
    browser.confirm()
    assert eventually(lambda: "carol" not in browser.text("table"))


@pytest.mark.parametrize(("size", "dark"), LOOKS)
def test_looks(browser, sign_in, keyed, base, size, dark):
    """Every page fits its window and has no serious fault of accessibility, in both themes.

    The keyboard reaches a page's content in two strokes.
    """
    checker = axe()
    browser.look(size, dark=dark)
    browser.open(f"{base}{HOME}/sign-in")
    assert browser.faults(checker) == []
    keyed.ask("bob", "Hi", session_id="seen")
    response = keyed.call("bob", "POST", "/v1/responses", {"model": MODEL, "input": "Hi"})[2]["id"]
    with keyed.client("bob") as client:
        id_ = batch(client, ENDLESS).id
        running = client.responses.create(model=MODEL, input=ENDLESS, background=True).id
    sign_in("eve")
    pages = browser.run("return [...document.querySelectorAll('nav a')].map(a => a.href)")
    details = [
        "sessions/session?id=seen",
        *(f"responses/response?id={i}" for i in (response, running)),
    ]
    of_bob = [f"{path}&key=bob" for path in (*details, f"batches/batch?id={id_}", "files?")]
    pages += [f"{base}{HOME}/{path}" for path in (*of_bob, "keys/key?name=bob")]
    for page in pages:
        browser.open(page)
        assert browser.faults(checker) == [], page
        widths = "return [document.documentElement.scrollWidth, innerWidth]"
        wide, window = browser.run(widths)
        assert wide <= window, page
    for path in (f"batches/{id_}", f"responses/{running}"):
        keyed.call("bob", "POST", f"/v1/{path}/cancel")
    browser.strike(Keys.TAB, Keys.ENTER)
    assert browser.run("return document.activeElement.id") == "main"
