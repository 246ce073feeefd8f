"""The log format: lines that nobody can forge, without callers' texts and secrets."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
import warnings

import pytest
from gunicorn.http.errors import NoMoreData
from hypothesis import given
from hypothesis import strategies as st

from wrapper.logs.formatting import LONGEST, Formatter, configure, escaped, secrets_of
from wrapper.logs.redaction import Redacted
from wrapper.server import log_setup
from wrapper.settings import Settings

FRAME = {"type": "user", "message": {"role": "user", "content": [{"type": "text", "text": "hush"}]}}
STYLES = ["console", "json"]
# Line ends for terminals and programs, cursor movements, and changes of text direction.
CONTROLS = "\n\r\v\f\x00\x1b[2J\x7f\x85\x9b\u2028\u2029\u202e\u2066\ufeff\u00ad\U000e0041"
FORGED = f"x{CONTROLS}2026-01-01 00:00:00,000 INFO wrapper: request outcome=done"
TEXTS = st.text(st.characters(), max_size=30)


@pytest.fixture
def logged(monkeypatch):
    """Return a function that logs a call and returns the formatted lines."""
    root, wrapper = logging.getLogger(), logging.getLogger("wrapper")
    before = root.handlers[:], root.level, wrapper.level
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)

    def run(call, style="console", prompts=False, secrets=()):
        root.handlers.clear()
        written = io.StringIO()
        monkeypatch.setattr(sys, "stderr", written)
        formatter = Formatter(style, prompts=prompts, secrets=secrets)
        configure("debug", formatter, prompts=prompts)
        call(logging.getLogger("wrapper.test"))
        return written.getvalue().splitlines()

    yield run
    logging.captureWarnings(False)
    root.handlers[:], root.level = before[:2]
    wrapper.setLevel(before[2])


def log_turn(log):
    facts = {"facts": {"id": "req-1", "cost_usd": 0.5, "outcome": "done"}}
    log.info("request with sk-secret-key", extra=facts)
    log.debug("to 7", extra={"frame": Redacted(FRAME)})


def fail(error, log):
    try:
        raise error
    except type(error):
        log.exception("request failed")


def test_console(logged):
    """On a console a request is one line with named figures."""
    request, frame = logged(log_turn, secrets=["sk-secret-key"])
    assert request.endswith("test: request with *** id=req-1 cost_usd=0.5 outcome=done")
    assert "<4 characters>" in frame


def test_json(logged):
    """As JSON each line is an object."""
    request, frame = (json.loads(line) for line in logged(log_turn, "json"))
    assert (request["id"], request["cost_usd"], request["level"]) == ("req-1", 0.5, "info")
    assert frame["frame"]["message"]["content"][0] == {"type": "text", "text": "<4 characters>"}


@pytest.mark.parametrize("prompts", [True, False])
def test_prompts(logged, prompts):
    """Callers' texts are in the log only with LOG_PROMPTS."""
    assert ("hush" in "".join(logged(log_turn, prompts=prompts))) is prompts


@pytest.mark.parametrize("style", STYLES)
def test_only_what_is_listed_is_shown(logged, style):
    """Only listed fields of a frame are shown, at any depth."""
    hidden = {"any": "canary", "type": "canary", "deep": [{"role": "canary"}]}
    frame = {
        "type": "user",
        "made_up": "canary",
        "input": hidden,
        "request": {"subtype": "initialize", "systemPrompt": "canary", "settings": hidden},
        "response": {"response": {"account": hidden}},
        "event": {"delta": {"partial_json": "canary", "signature": "canary"}},
        "message": {"content": "canary", "role": "user", "model": "canary"},
        "usage": {"input_tokens": 7, "more": hidden},
        "uuid": "canary" * 20,
    }
    lines = "".join(logged(lambda log: log.debug("x", extra={"frame": Redacted(frame)}), style))
    assert "canary" not in lines
    assert "initialize" in lines
    assert "input_tokens" in lines


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("prompts", [True, False])
def test_errors(logged, style, prompts):
    """A traceback shows the location, and quotes data only with LOG_PROMPTS."""
    lines = logged(lambda log: fail(KeyError("canary"), log), style, prompts)
    assert ("canary" in "".join(lines)) is prompts
    assert "KeyError: <8 characters>" in "".join(lines) or prompts
    assert "test_formatting.py" in "".join(lines)


def test_errors_of_libraries(logged):
    """A library's subclass of a safe error is redacted, because it may quote data."""
    error = NoMoreData(b"Authorization: canary")
    lines = logged(lambda log: fail(error, log)) + logged(
        lambda log: log.info("%s", Redacted(error))
    )
    assert "canary" not in "".join(lines)


def test_causes_of_errors(logged):
    """An error's causes are logged and redacted, too."""
    text = "can" + "ary"

    def call(log):
        try:
            try:
                raise ExceptionGroup(text, [ValueError(text)])
            except ExceptionGroup as group:
                raise OSError(28, "No space left on device") from group
        except OSError:
            log.exception("failed")

    text = "\n".join(logged(call))
    assert "canary" not in text
    order = [text.index(name) for name in ("ValueError:", "ExceptionGroup:", "No space left")]
    assert order == sorted(order)


@pytest.mark.parametrize("name", ["asyncio", "claude_code_sdk", "mcp.server", "PIL.Image"])
@pytest.mark.parametrize("level", ["debug", "error"])
def test_libraries(logged, name, level):
    """Libraries' logs of data that they could not parse are not shown."""
    text = "Never retrieved\nfuture: <Task exception=ValueError('canary')>"
    text = text if name == "asyncio" or level == "debug" else "canary"
    expected = name != "PIL.Image" or level == "debug"
    if expected:
        lines = logged(lambda _: getattr(logging.getLogger(name), level)(text))
        assert "canary" not in "".join(lines)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    "call",
    [
        lambda log: log.info(FORGED),
        lambda log: log.info("%s", FORGED),
        lambda log: log.info("refused", extra={"facts": {"path": FORGED}}),
        lambda log: log.info("refused", extra={"facts": {FORGED: [FORGED, {FORGED: FORGED}]}}),
        lambda log: log.debug("x", extra={"frame": Redacted({FORGED: FORGED})}),
        lambda log: fail(OSError(FORGED), log),
        lambda log: fail(type(FORGED.replace("\0", ""), (OSError,), {})(FORGED), log),
    ],
)
@pytest.mark.parametrize("prompts", [True, False])
def test_no_line_is_forged(logged, style, call, prompts):
    """Nothing that is logged can look like another line, or control a terminal."""
    lines = logged(call, style, prompts)
    assert all(line.isprintable() for line in lines)
    if style == "json":
        assert len(lines) == 1
        assert json.loads(lines[0])["logger"] == "wrapper.test"
    else:
        assert all(line.startswith("    ") for line in lines[1:])


@given(text=TEXTS, style=st.sampled_from(STYLES))
def test_any_text(text, style):
    """Every text becomes one printable line, and JSON that parses to the same text."""
    record = logging.makeLogRecord({"msg": "%s", "args": (text,), "facts": {"param": text}})
    line = Formatter(style).format(record)
    assert line.isprintable()
    line.encode()
    if style == "json":
        assert json.loads(line)["message"] == json.loads(line)["param"] == text


def test_facts_are_not_mixed_up(logged):
    """A value that looks like several facts is quoted."""
    (line,) = logged(lambda log: log.info("x", extra={"facts": {"path": '/a outcome=done "'}}))
    assert line.endswith(r'path="/a outcome=done \""')


@pytest.mark.parametrize("style", STYLES)
def test_length(logged, style):
    """No field makes a line long."""
    long = "x" * 10 * LONGEST
    facts = {"facts": {"path": long, "deep": [long]}}
    lines = logged(lambda log: log.info(long, extra=facts), style)
    assert len("".join(lines)) < 3 * LONGEST + 500
    assert f"<{len(long)} characters>" in lines[0]


def test_a_secret_is_not_cut(logged):
    """A secret is masked also where a text is cut."""
    text = "x" * (LONGEST - 4) + "sk-secret-key"
    assert "sk-s" not in "".join(logged(lambda log: log.info(text), secrets=["sk-secret-key"]))


def test_escaped():
    """Printable characters of any language stay unchanged."""
    assert escaped("é 漢 \U0001f600") == "é 漢 \U0001f600"
    assert escaped("\x1b\n\u2028\ud800") == r"\x1b\n\u2028\ud800"


def test_secrets_of():
    """Values with secret names are masked, except short ones and the paths of files."""
    environment = {"ANTHROPIC_API_KEY": "sk-123456789", "MY_TOKEN": "1", "HOME": "/home/someone"}
    environment["API_KEYS_FILE"] = "/etc/claude-code-gateway/keys.toml"
    assert secrets_of(environment) == ["sk-123456789"]


def test_configured_again(logged):
    """Logging can be set up again with other settings, as after a reload."""

    def again(log):
        configure("info", Formatter("json"))
        log.info("once")

    (line,) = logged(again)
    assert json.loads(line)["message"] == "once"


def test_others_logging_stays(logged):
    """The log of an app that has set up its own is left as it is."""

    def foreign(log):
        handler = logging.StreamHandler(io.StringIO())
        logging.getLogger().handlers[:] = [handler]
        configure("info", Formatter())
        assert logging.getLogger().handlers == [handler]

    assert logged(foreign) == []


@pytest.mark.parametrize("style", STYLES)
def test_failed_thread(logged, style):
    """An error that ends a thread is a record as any other, and quotes nobody."""

    def run(log):
        secret, words = "".join(("hu", "sh")), dict[str, str]()
        thread = threading.Thread(target=lambda: words[secret], name="worker-7")
        thread.start()
        thread.join()

    lines = logged(run, style)
    assert "worker-7" in lines[0]
    assert "KeyError: <6 characters>" in lines[-1]
    assert "hush" not in "".join(lines)


def test_warnings(logged):
    """Python's warnings are records, too."""

    def warn(log):
        warnings.showwarning("old", DeprecationWarning, "module.py", 1)

    (line,) = logged(warn, "json")
    assert json.loads(line)["logger"] == "py.warnings"


@pytest.mark.parametrize(("key", "shown"), [("1", "port 1 of 1"), ("12345678", "port *** of 1")])
def test_short_api_key(logged, key, shown):
    """API_KEY is masked in the server's log, unless it is so short that every line would be."""

    def call(log):
        logging.getLogger().handlers.clear()
        log_setup.configure(Settings(api_key=key))
        log.info(f"port {key} of 1")

    assert logged(call)[0].endswith(shown)
