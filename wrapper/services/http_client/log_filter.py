"""Keep the libraries' log records out of the log: they quote servers, and URLs with secrets."""

from __future__ import annotations

import logging
from contextvars import ContextVar

_dropped = ContextVar("dropped", default=False)

# The loggers that httpx and mcp use; a filter of a logger does not hold for those below it.
LOGGERS = (
    *("", "client", "httpx", "mcp.client.sse", "mcp.client.streamable_http"),
    *("mcp.client.session", "mcp.shared.session", "mcp.shared._httpx_utils"),
    *("httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy"),
)


def drop_logs() -> None:
    """Drop what the libraries log in this task, and in tasks that it starts."""
    _dropped.set(True)


def _is_logged(record: logging.LogRecord) -> bool:
    return not _dropped.get()


for name in LOGGERS:
    logging.getLogger(name).addFilter(_is_logged)
