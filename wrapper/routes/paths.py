"""Middleware that corrects the paths of clients whose base URL is slightly wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

# The prefix of the stand-alone server's paths.
PREFIX = "/v1"

Environ = dict[str, Any]
Wsgi = Callable[[Environ, Any], Iterable[bytes]]

_REPEATED_SLASHES = re.compile("/{2,}")


class _PathMiddleware:
    """WSGI middleware that corrects paths. A slash written as %2F is part of a name, and stays."""

    def __init__(self, app: Wsgi):
        self._app = app

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        sent = _path_as_sent(environ)
        if (path := self.correct(sent)) != sent:
            environ = {**environ, "PATH_INFO": _decoded(path)}
            for name in ("RAW_URI", "REQUEST_URI"):
                environ.pop(name, None)  # the next middleware would read it
        return self._app(environ, start_response)

    def correct(self, path: str) -> str:
        raise NotImplementedError


class SingleSlashes(_PathMiddleware):
    """Replaces repeated slashes by single ones in paths below *prefix*.

    Otherwise Werkzeug would redirect, in HTML and to the client's Host, before the key is checked.
    """

    def __init__(self, app: Wsgi, prefix: str):
        super().__init__(app)
        self._prefix = f"{prefix.rstrip('/')}/"

    def correct(self, path: str) -> str:
        single = _REPEATED_SLASHES.sub("/", path)
        return single if single.startswith(self._prefix) else path


class PathCorrection(_PathMiddleware):
    """Removes repeated slashes, a trailing one, and repeated prefixes.

    It adds a missing *prefix* to *resources*.
    """

    def __init__(self, app: Wsgi, prefix: str, resources: Collection[str]):
        super().__init__(app)
        self._prefix = prefix
        self._resources = frozenset(resources)

    def correct(self, path: str) -> str:
        """Return the path that a client means by *path*."""
        prefix = self._prefix
        path = _REPEATED_SLASHES.sub("/", path)
        path = path.removesuffix("/") or path
        while path.startswith(f"{prefix}{prefix}/"):
            path = path.removeprefix(prefix)
        first = path.removeprefix("/").partition("/")[0]
        return f"{prefix}{path}" if first in self._resources else path


def _path_as_sent(environ: Environ) -> str:
    """Return the path with its escapes if the server provides it; else as WSGI decodes it."""
    path = str(environ.get("PATH_INFO", ""))
    sent = str(environ.get("RAW_URI") or environ.get("REQUEST_URI") or "").partition("?")[0]
    return sent if sent == path or _decoded(sent) == path else path


def _decoded(path: str) -> str:
    return unquote_to_bytes(path.encode("latin-1", "replace")).decode("latin-1")
