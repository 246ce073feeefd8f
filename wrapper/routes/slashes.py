"""Doubled slashes: paths that have them are served as if they had single ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

_SEVERAL = re.compile("/{2,}")


class SingleSlashes:
    """WSGI middleware that makes doubled slashes single in paths below *prefix*.

    Werkzeug would redirect, in HTML and to the caller's Host, before the key is checked.
    """

    def __init__(self, app: Callable[..., Iterable[bytes]], prefix: str):
        self._app = app
        self._prefix = f"{prefix.rstrip('/')}/"

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if "//" in path and (single := _SEVERAL.sub("/", path)).startswith(self._prefix):
            environ = {**environ, "PATH_INFO": single}
        return self._app(environ, start_response)
