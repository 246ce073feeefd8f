"""The paths: what clients with a slightly wrong base URL ask for, corrected."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Paths:
    """Corrects a request's path before *app* sees it.

    It removes a slash at the end and a repeated *prefix*, and adds a missing prefix before one of
    the *resources*.
    """

    def __init__(self, app: Wsgi, prefix: str, resources: Collection[str]):
        self._app = app
        self._prefix = prefix
        self._resources = frozenset(resources)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["PATH_INFO"] = self.correct(environ.get("PATH_INFO", ""))
        return self._app(environ, start_response)

    def correct(self, path: str) -> str:
        """Return the path that a client with *path* means."""
        prefix = self._prefix
        path = path.removesuffix("/") or path
        while path.startswith(f"{prefix}{prefix}/"):
            path = path.removeprefix(prefix)
        first = path.removeprefix("/").partition("/")[0]
        return f"{prefix}{path}" if first in self._resources else path
