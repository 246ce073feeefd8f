"""Paths: what clients with a slightly wrong base URL ask for, corrected before the app sees it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

Environ = dict[str, Any]
Wsgi = Callable[[Environ, Any], Iterable[bytes]]

_SEVERAL = re.compile("/{2,}")


class _Corrected:
    """WSGI middleware. A slash that is written %2F belongs to a name, and is left alone."""

    def __init__(self, app: Wsgi):
        self._app = app

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        sent = _path_as_sent(environ)
        if (path := self.correct(sent)) != sent:
            environ = {**environ, "PATH_INFO": _decoded(path)}
            for name in ("RAW_URI", "REQUEST_URI"):
                environ.pop(name, None)  # which the next middleware would read
        return self._app(environ, start_response)

    def correct(self, path: str) -> str:
        raise NotImplementedError


class SingleSlashes(_Corrected):
    """Makes doubled slashes single in paths below *prefix*.

    Werkzeug would redirect, in HTML and to the caller's Host, before the key is checked.
    """

    def __init__(self, app: Wsgi, prefix: str):
        super().__init__(app)
        self._prefix = f"{prefix.rstrip('/')}/"

    def correct(self, path: str) -> str:
        single = _SEVERAL.sub("/", path)
        return single if single.startswith(self._prefix) else path


class Paths(_Corrected):
    """Removes a slash at the end and a repeated *prefix*; adds a missing one before *resources*."""

    def __init__(self, app: Wsgi, prefix: str, resources: Collection[str]):
        super().__init__(app)
        self._prefix = prefix
        self._resources = frozenset(resources)

    def correct(self, path: str) -> str:
        """Return the path that a client with *path* means."""
        prefix = self._prefix
        path = path.removesuffix("/") or path
        while path.startswith(f"{prefix}{prefix}/"):
            path = path.removeprefix(prefix)
        first = path.removeprefix("/").partition("/")[0]
        return f"{prefix}{path}" if first in self._resources else path


def _path_as_sent(environ: Environ) -> str:
    """Return the path with its escapes, where the server tells it; else as WSGI decodes it."""
    path = str(environ.get("PATH_INFO", ""))
    sent = str(environ.get("RAW_URI") or environ.get("REQUEST_URI") or "").partition("?")[0]
    return sent if _decoded(sent) == path else path


def _decoded(path: str) -> str:
    return unquote_to_bytes(path.encode("latin-1", "replace")).decode("latin-1")
