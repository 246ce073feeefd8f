"""Format log records: one line each, without secrets, control characters or callers' words."""

from __future__ import annotations

import json
import logging
import re
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from wrapper.logs.redaction import Redacted, message_of

SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
SHORTEST_SECRET = 8
MASK = "***"
# The longest text in a line, and with LOG_PROMPTS.
LONGEST, LONGEST_PROMPT = 2000, 100_000
CONSOLE = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
# Their errors quote data that they could not parse. The gateway logs such errors itself.
QUOTING = ("claude_code_sdk", "mcp")
DEEPEST = 50
# The name of the gateway's own handler.
HANDLER = "claude-code-gateway"
log = logging.getLogger(__name__)

BARE = re.compile(r"[^\s\"'=]+")


class Formatter(logging.Formatter):
    """Formats a record with its `facts` and its `frame`, if it has any.

    Characters that are not printable are escaped, so that no caller can forge a line. *secrets* are
    masked. Redacted values are shown in full only with *prompts*. *style* is console or json.
    """

    def __init__(
        self,
        style: str = "console",
        *,
        prompts: bool = False,
        secrets: Iterable[str] = (),
    ):
        super().__init__(CONSOLE)
        self._json = style == "json"
        self._prompts = prompts
        self._longest = LONGEST_PROMPT if prompts else LONGEST
        self._secrets = sorted(secrets, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        facts: dict[str, Any] = dict(getattr(record, "facts", {}))
        if hasattr(record, "frame"):
            facts["frame"] = record.frame
        facts = self._cleaned(facts)
        return self._as_json(record, facts) if self._json else self._as_text(record, facts)

    def _as_text(self, record: logging.LogRecord, facts: dict[str, Any]) -> str:
        record.message = self._message(record)
        record.asctime = self.formatTime(record)
        pairs = (f"{escaped(name)}={_plain(value)}" for name, value in facts.items())
        line = " ".join([escaped(self.formatMessage(record)), *pairs])
        # Indented, because the start of a line looks like the start of a record.
        return "\n    ".join([line, *map(escaped, self._trace(record))])

    def _as_json(self, record: logging.LogRecord, facts: dict[str, Any]) -> str:
        entry = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._message(record),
            **facts,
        }
        if trace := list(self._trace(record)):
            entry["exception"] = "\n".join(trace)
        return _as_printable(json.dumps(entry, ensure_ascii=False, default=str), _json_escape)

    def _message(self, record: logging.LogRecord) -> str:
        message = str(record.msg)
        if record.args:
            message %= self._arguments(record.args)
        if record.name == "asyncio" and not self._prompts:
            message = message.partition("\n")[0]  # the rest quotes an error
        return self._text(message)

    def _arguments(self, args: Any) -> Any:
        if isinstance(args, Mapping):
            return args
        whole = self._prompts
        return tuple(a.value if whole and isinstance(a, Redacted) else a for a in args)

    def _cleaned(self, value: Any) -> Any:
        """Return *value* with masked and shortened texts, and Redacted values in their form."""
        if isinstance(value, Redacted):
            value = value.value if self._prompts else value.shown()
            value = str(value) if isinstance(value, BaseException) else value
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            return {self._text(str(name)): self._cleaned(inner) for name, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._cleaned(inner) for inner in value]
        return value

    def _text(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        if len(text) <= self._longest:
            return text
        return f"{text[: self._longest]}… <{len(text)} characters>"

    def _trace(self, record: logging.LogRecord) -> Iterator[str]:
        for error in _chain(record.exc_info[1] if record.exc_info else None):
            yield "Traceback (most recent call last):"
            for entry in traceback.format_tb(error.__traceback__, -DEEPEST):
                yield from entry.splitlines()
            message = str(error) if self._prompts else message_of(error)
            yield self._text(f"{type(error).__name__}: {message}")


def configure(level: str, formatter: logging.Formatter, *, prompts: bool = False) -> None:
    """Log to stderr from *level* with *formatter*, unless somebody else has set up logging.

    Warnings, and errors that end a thread, are logged, too: Python would print them as they are.
    """
    if any(handler.name != HANDLER for handler in logging.root.handlers):
        return
    handler = logging.StreamHandler()
    handler.set_name(HANDLER)
    handler.setFormatter(formatter)
    # Libraries log bodies and headers at the debug level.
    logging.basicConfig(level=max(logging.INFO, _number(level)), handlers=[handler], force=True)
    logging.captureWarnings(True)
    threading.excepthook = _log_thread
    logging.getLogger("wrapper").setLevel(_number(level))
    for name in QUOTING:
        logging.getLogger(name).setLevel(logging.INFO if prompts else logging.CRITICAL)


def _log_thread(failure: threading.ExceptHookArgs) -> None:
    if failure.exc_value:
        name = failure.thread.name if failure.thread else "unknown"
        log.error("the thread %s has failed", name, exc_info=failure.exc_value)


def secrets_of(environment: Mapping[str, str]) -> list[str]:
    """Return the values in *environment* whose names look secret.

    API_KEYS_FILE and the like are no secrets: the log shows their paths.
    """
    named = [
        value
        for name, value in environment.items()
        if SECRET_NAME.search(name) and not name.endswith("_FILE")
    ]
    return [value for value in named if len(value) >= SHORTEST_SECRET]


def escaped(text: str) -> str:
    """Return *text* with an escape for each character that is not printable."""
    return _as_printable(text, _escape)


def _as_printable(text: str, escape: Callable[[str], str]) -> str:
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode()


def _json_escape(char: str) -> str:
    return json.dumps(char)[1:-1] if ord(char) > 0x7F else f"\\u{ord(char):04x}"


def _chain(error: BaseException | None) -> list[BaseException]:
    """Return *error* and its causes, each once, the first cause first."""
    chain: list[BaseException] = []
    while error and error not in chain:
        chain.insert(0, error)
        chain[:0] = getattr(error, "exceptions", ())
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return chain


def _number(level: str) -> int:
    return logging.getLevelNamesMapping()[level.upper()]


def _plain(value: Any) -> str:
    """Return a fact's value, quoted unless it is a single word."""
    if isinstance(value, str) and BARE.fullmatch(value):
        return escaped(value)
    return escaped(json.dumps(value, ensure_ascii=False, default=str))
