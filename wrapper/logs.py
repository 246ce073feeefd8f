"""The logs of the stand-alone server; an app that mounts the gateway keeps its own."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any

SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
SHORTEST_SECRET = 8
MASK = "***"
# What callers and models write stands in frames under these names.
TEXTS = frozenset(
    {"text", "content", "thinking", "partial_json", "systemPrompt", "result", "input"}
)


def configure(
    level: str, *, style: str = "console", prompts: bool = False, secrets: Iterable[str] = ()
) -> None:
    """Write the log to stderr from *level* on, as console lines or as JSON.

    Texts are shown only if *prompts*; *secrets* are masked wherever they stand.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter(style, prompts, secrets))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    # What libraries say at debug level holds bodies and headers.
    for noisy in ("asyncio", "flask_cors", "claude_code_sdk", "werkzeug"):
        logging.getLogger(noisy).setLevel(max(logging.INFO, logging.root.level))


def secrets_of(environment: Mapping[str, str]) -> list[str]:
    """Return the values in *environment* whose names say that they are secret."""
    named = [value for name, value in environment.items() if SECRET_NAME.search(name)]
    return [value for value in named if len(value) >= SHORTEST_SECRET]


class _Formatter(logging.Formatter):
    """Renders a record with its `facts` or its `frame`, where it has any."""

    def __init__(self, style: str, prompts: bool, secrets: Iterable[str]):
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
        self._json = style == "json"
        self._prompts = prompts
        self._secrets = sorted(secrets, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        facts: dict[str, Any] = dict(getattr(record, "facts", {}))
        if hasattr(record, "frame"):
            frame = record.frame
            facts["frame"] = frame if self._prompts else _without_texts(frame)
        line = self._as_json(record, facts) if self._json else self._as_text(record, facts)
        for secret in self._secrets:
            line = line.replace(secret, MASK)
        return line

    def _as_text(self, record: logging.LogRecord, facts: dict[str, Any]) -> str:
        told = (f"{name}={_plain(value)}" for name, value in facts.items())
        return " ".join([super().format(record), *told])

    def _as_json(self, record: logging.LogRecord, facts: dict[str, Any]) -> str:
        entry = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **facts,
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _without_texts(value: Any) -> Any:
    """Return *value* with every text in it replaced by its length."""
    if isinstance(value, dict):
        return {
            name: _lengths(inner) if name in TEXTS else _without_texts(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_without_texts(inner) for inner in value]
    return value


def _lengths(value: Any) -> Any:
    if isinstance(value, str):
        return f"<{len(value)} characters>"
    if isinstance(value, list):
        return [_lengths(inner) for inner in value]
    return _without_texts(value)
