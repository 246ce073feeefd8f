"""The chat page in a real browser, in front of the real gateway and the scripted model."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from urllib.parse import quote

import pytest
from selenium.webdriver.common.keys import Keys

from tests.live.console.conftest import HOME
from tests.live.console.test_console import LOOKS
from tests.support.browser import axe
from tests.support.pictures import picture
from tests.support.server import eventually

CHAT = f"{HOME}/chat"
SCRIPT = "<script>document.title='attacked'</script>"
IMAGE = "<img src=x onerror=document.title='attacked'>"
MARKDOWN = f"""# Two ways

Use `one` or **two**: [read](https://example.com/a), [not](javascript:alert(1)), \
[local](/console/keys), ![a cat](https://evil.example/cat.png)

```html
{IMAGE}
```

{SCRIPT}

{IMAGE}"""
ATTACK = f'[[think {SCRIPT}{IMAGE}]] [[tool Bash {{"command": "echo {IMAGE}"}}]] [[say {MARKDOWN}]]'


@pytest.fixture(scope="module")
def cookies():
    """The cookies of bob's sign-in, which all tests share: an address may sign in rarely."""
    return []


@pytest.fixture
def chat(browser, base, keyed, cookies, sign_in):
    """The page, as bob sees it."""
    if not cookies:
        sign_in("bob", CHAT)
        cookies += browser.cookies()
    browser.open(f"{base}{HOME}/sign-in")
    for cookie in cookies:
        browser.set_cookie(cookie)
    browser.open(f"{base}{CHAT}")
    browser.find("#prompt:focus")
    return browser


@pytest.fixture
def say(browser):
    """Return a function that sends a message, and waits until it is answered."""

    def say(text: str) -> None:
        write(browser, text)
        done = "#turns > li:last-child footer"
        assert eventually(lambda: idle(browser) and browser.has(done)), browser.text("main")

    return say


def each(css: str, value: str) -> str:
    """Return a script that returns a *value* of each element that matches *css*."""
    return f"return [...document.querySelectorAll({css!r})].map((element) => {value})"


def idle(browser) -> bool:
    """Say whether no answer is being written."""
    return bool(browser.run("return document.querySelector('#stop').hidden"))


def turns(browser) -> int:
    return int(browser.run("return document.querySelectorAll('#turns > li').length"))


def write(browser, text: str) -> None:
    """Write a message as if it were pasted, and press Enter."""
    field = browser.find("#prompt")
    browser.run("arguments[0].value = arguments[1]", field, text)
    field.send_keys(Keys.ENTER)


def choose(browser, name: str, value: str) -> None:
    script = """
        const field = document.querySelector(`#${arguments[0]}`);
        field.value = arguments[1];
        field.dispatchEvent(new Event("change", {bubbles: true}));
    """
    browser.run(script, name, value)


def snippet(browser, language: str) -> str:
    browser.press(f"as {language}")
    return str(browser.run("return document.querySelector('.code code').textContent"))


def test_answer(browser, chat, say, keyed):
    """An answer shows thinking, tools and Markdown, and none of it runs or loads anything."""
    say(ATTACK)
    assert browser.run("return document.title").startswith("Chat")
    assert not browser.has("#turns img, #turns script")
    assert browser.text(".prose h3") == "Two ways"
    links = browser.run(each(".prose a", "[element.getAttribute('href'), element.rel]"))
    assert links == [["https://example.com/a", "noopener noreferrer"], [None, ""], [None, ""]]
    assert browser.shows("[image: a cat https://evil.example/cat.png]", SCRIPT, IMAGE)
    thinking, tool, *_ = browser.run(each(".step", "element.open + element.textContent"))
    assert thinking == f"falseThinking{SCRIPT}{IMAGE}"
    assert tool.startswith("falseBash")
    assert IMAGE in tool
    assert browser.shows("tokens", "$")
    assert "writing" in browser.find(".timing").get_attribute("title")
    assert "is complete" in browser.text("#status")
    assert browser.run("return document.activeElement.id") == "prompt"


SHOW = """
    return import("/console/static/chat/answer.js").then(({ Answer }) => {
      const answer = new Answer("sonnet");
      const text = arguments[0];
      const approval = {id: "a1", tool: text, preview: text, status: "pending"};
      const parts = [
        {tool_use: {id: "t1", name: "mcp__a__b", arguments: "{}"}},
        {tool_result: {id: "t1", outcome: "done", seconds: 1, output: text}},
        {approval}, {approval: {...approval, id: "a2"}},
        {approval: {...approval, status: "denied"}},
      ];
      for (const claude of parts) answer.add({claude, choices: []});
      const call = {function: {name: text, arguments: text}};
      const result = {role: "tool", content: [{type: "text", text}]};
      answer.replay([{role: "assistant", content: null, tool_calls: [call]}, result]);
      document.querySelector("#turns").append(answer.element);
      const count = (css) => answer.element.querySelectorAll(css).length;
      return [count("img"), count(".note"), answer.element.textContent.split(text).length - 1];
    });
"""


NOTES = """
    return import("/console/static/chat/notes.js").then(({ notesOf }) => {
      const [headers, last] = arguments;
      const messages = [{role: "system"}, {role: "user"}, {role: "assistant"}, {role: "user"}];
      const list = notesOf(new Headers(headers), last, {messages});
      return list && [list.innerText, list.querySelectorAll("img").length];
    });
"""


def test_notes(browser, chat):
    """What the gateway notes about an answer is said in plain words, as text."""
    headers = {
        "x-ignored-params": "reasoning_effort, top_k",
        "x-adapted-messages": "messages.0.content, messages.1.role, messages.3.content.1.image_url",
        "x-failed-models": IMAGE,
        "x-unmet-params": "old",
        "server-timing": "queue;dur=1",
    }
    text, images = browser.run(NOTES, headers, {"x-unmet-params": "tool_choice"})
    assert images == 0
    for sentence in (
        f"{IMAGE} failed before beginning to answer; another model has answered.",
        "This had no effect: the effort, top_k.",
        "in another form: the system prompt, message 2, part 2 of your message.",
        "The answer does not heed this: tool_choice.",
    ):
        assert sentence in text
    assert browser.run(NOTES, {"server-timing": "queue;dur=1"}, {}) is None


def test_untrusted_parts(browser, chat):
    """A tool's output, an approval, and calls of an earlier session are shown as text."""
    images, notes, texts = browser.run(SHOW, IMAGE)
    assert (images, notes, texts) == (0, 1, 6)
    assert "Decide in the inbox" in browser.text(".note")


def test_snippets(browser, chat, say, keyed):
    """The request as curl and Python is answered as it was; Node's reads it without a fault."""
    text = '[[say It\'s "quoted" $(id) \\ done.]]'
    choose(browser, "profile", "plain")
    say(text)
    programs = {"curl": ["sh", "-c"], "Python": [sys.executable, "-c"]}
    for language, program in programs.items():
        code = snippet(browser, language).replace("YOUR_KEY", keyed.keys["bob"])
        output = subprocess.run(
            [*program, code], check=True, capture_output=True, timeout=60
        ).stdout
        answer = output.decode() if language == "Python" else written(output)
        assert answer == 'It\'s "quoted" $(id) \\ done.'
    check = ["node", "--input-type=module", "--check"]
    subprocess.run(check, input=snippet(browser, "Node").encode(), check=True, timeout=60)


def written(stream: bytes) -> str:
    """Return the text of a stream of chunks."""
    chunks = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith(b"data: {")]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def test_stop(browser, chat, keyed):
    """Stop ends the turn at the gateway, and the page can go on; until then nothing is retried."""
    write(browser, "[[deltas 900]] [[pause 0.2]]")
    assert browser.shows("w1 w2")
    assert keyed.server.health()["turns"]["running"] == 1
    browser.press("Retry")
    assert browser.shows("Wait for it, or stop it.")
    browser.press("Stop")
    assert browser.shows("Stopped.")
    assert "Wait for it" not in browser.text("main")
    assert eventually(lambda: keyed.server.health()["turns"]["running"] == 0)
    write(browser, "[[error 400 no]]")
    assert browser.shows("Send")
    assert eventually(lambda: browser.has(".note.bad ~ *, li:nth-child(2) .note.bad"))
    browser.complaints()  # that a request was refused


def test_options(browser, chat, say, upstream):
    """The choices reach the model: system prompt, effort, and the tools that are left."""
    browser.press("Tools of the agent")
    assert browser.shows("Bash")
    browser.find("#tool-list input[value='Bash']").click()
    browser.fill("#system", "Be brief.")
    choose(browser, "effort", "none")
    say('[[tool Bash {"command": "ls"}]]')
    assert browser.shows("denied")
    assert "Be brief." in json.dumps(upstream.requests[-1].body["system"])


def test_files(browser, chat, say, upstream):
    """Images, PDFs and texts are dropped or pasted, and reach the model; others are refused."""
    choose(browser, "profile", "plain")
    files = [
        ["a.png", "image/png", base64.b64encode(picture()).decode()],
        ["b.txt", "", base64.b64encode(b"a text").decode()],
        ["c.bin", "", base64.b64encode(b"\0\xff").decode()],
    ]
    for event in ("drop", "paste"):
        browser.run(GIVE, event, files)
        assert browser.shows("c.bin is not added")
    assert browser.wait(
        lambda: browser.run("return document.querySelectorAll('#files li').length") == 4
    )
    browser.find("[aria-label='Remove b.txt']").click()
    say("Hi")
    kinds = [block["type"] for block in upstream.requests[-1].body["messages"][-1]["content"]]
    assert sorted(kinds) == ["document", "image", "image", "text"]


GIVE = """
    const data = new DataTransfer();
    for (const [name, type, text] of arguments[1]) {
      const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
      data.items.add(new File([bytes], name, {type}));
    }
    const options = {bubbles: true, cancelable: true, clipboardData: data, dataTransfer: data};
    const kind = arguments[0] === "drop" ? DragEvent : ClipboardEvent;
    document.querySelector("#prompt").dispatchEvent(new kind(arguments[0], options));
"""


def test_session(browser, chat, say, keyed, base):
    """An earlier session goes on; an edited message continues in a session of its own."""
    keyed.ask("bob", "[[say ok]] remember: Oslo", session_id=IMAGE)
    browser.open(f"{base}{HOME}/sessions/session?id={quote(IMAGE)}")
    browser.press("Continue")
    assert browser.shows("remember: Oslo", "ok")
    choose(browser, "profile", "plain")
    say("[[say ok]] remember: Rome")
    say("[[recall]]")
    assert browser.text("li:last-child .prose") == "Oslo Rome"
    browser.run("document.querySelectorAll('.other button')[2].click()")  # edit the second message
    assert browser.shows("replaces that message")
    say("[[recall]] remember: Bern")
    assert browser.text("li:last-child .prose") == "Oslo Bern"
    assert turns(browser) == 2
    assert browser.run("return document.querySelector('#session').value") != IMAGE
    _, _, kept = keyed.call("bob", "GET", "/v1/sessions")
    assert len([one for one in kept["sessions"] if one["session_id"].startswith(IMAGE)]) == 2


def test_history(browser, chat, say):
    """Without a session the page sends what was said; retry asks again, without what followed."""
    choose(browser, "profile", "plain")
    say("[[say ok]] remember: Oslo")
    say("[[recall]]")
    assert browser.text("li:last-child .prose") == "Oslo"
    browser.run("document.querySelectorAll('.other button')[1].click()")  # retry the first message
    assert eventually(lambda: idle(browser) and turns(browser) == 1)
    assert browser.text(".prose") == "ok"


def test_two_models(browser, chat, say, upstream):
    """Two models answer the same prompt side by side, each with its own history."""
    choose(browser, "profile", "plain")
    choose(browser, "other", "opus")
    say("[[deltas 3]]")
    models = sorted(request.body["model"] for request in upstream.requests[-2:])
    assert ["opus" in models[0], "sonnet" in models[1]] == [True, True]
    tops = browser.run(each(".answers article", "element.getBoundingClientRect().top"))
    assert (len(tops), len(set(tops))) == (2, 1)


def test_csrf(browser, chat):
    """The route that asks the model wants the page's token, whatever the cookie says."""
    script = """
        const headers = {"Content-Type": "application/json", ...arguments[0]};
        const body = JSON.stringify({messages: [{role: "user", content: "Hi"}]});
        return fetch(document.querySelector("#chat").dataset.send, {method: "POST", headers, body})
          .then(async (response) => [response.status, (await response.json()).error.type]);
    """
    for headers in ({}, {"X-CSRF-Token": "0" * 64}):
        assert browser.run(script, headers)[0] == 403
    assert all("403" in text for text in browser.complaints())


@pytest.mark.parametrize(("size", "dark"), LOOKS)
def test_looks(browser, chat, say, size, dark):
    """A conversation fits the window, and has no serious fault of accessibility."""
    browser.look(size, dark=dark)
    browser.open(browser.url)
    say(ATTACK)
    browser.press("as Python")
    assert browser.faults(axe()) == []
    wide, window = browser.run("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= window
