"""Requests that the gateway makes to its own app, without HTTP, for a caller who does not wait.

They pass the very same checks, limits, logs and records of usage as those of clients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Flask
from werkzeug.test import EnvironBuilder, run_wsgi_app

from wrapper.errors import ApiError, QuotaExceeded
from wrapper.routes.dialects import prefix_of
from wrapper.routes.headers import JSON_TYPE, RETRY_AFTER, SHOULD_RETRY
from wrapper.services.jobs.answer import Answer
from wrapper.services.principal import Principal

# The key in the WSGI environ, where no client of a server can put anything of this name.
_KEY = "wrapper.in_process"
# The seconds to wait if a refusal does not say how many.
RETRY = 1.0


@dataclass
class InProcess:
    """Who makes a request in this process. `gone` says that nobody wants the answer any more.

    `error` is what the request fails with, of which its response does not tell all.
    """

    principal: Principal
    gone: Callable[[], bool]
    error: ApiError | None = None


def in_process(environ: Mapping[str, Any]) -> InProcess | None:
    """Return who makes this request, if the gateway itself makes it."""
    made: InProcess | None = environ.get(_KEY)
    return made


class InProcessClient:
    """Makes requests to the app that serves the gateway: the last one that `serve` was given."""

    def __init__(self) -> None:
        self._app: Flask | None = None

    def serve(self, app: Flask) -> None:
        self._app = app

    def __call__(
        self,
        principal: Principal,
        path: str,
        body: bytes,
        *,
        gone: Callable[[], bool],
        headers: Mapping[str, str] = {},
    ) -> Answer:
        """POST *body*, which is JSON, to *path* below the gateway's prefix."""
        app = self._app
        if app is None:
            raise RuntimeError("init_app has not been called")
        builder = EnvironBuilder(
            prefix_of(app) + path,
            _base_url(app),
            method="POST",
            data=body,
            content_type=JSON_TYPE,
            headers=headers.items(),
        )
        made = InProcess(principal, gone)
        environ = {**builder.get_environ(), _KEY: made}
        chunks, status, sent = run_wsgi_app(app.wsgi_app, environ)
        code = int(status.partition(" ")[0])
        return _answer(chunks, code, dict(sent.to_wsgi_list()), made.error)


def _base_url(app: Flask) -> str:
    """Return a URL that *app* trusts, with https, as the request crosses no network."""
    trusted = [name.lstrip(".") for name in app.config.get("TRUSTED_HOSTS") or ()]
    return f"https://{next(filter(None, (app.config['SERVER_NAME'], *trusted)), 'localhost')}"


def _answer(
    chunks: Iterable[bytes], status: int, sent: Mapping[str, str], error: ApiError | None
) -> Answer:
    headers = {name.lower(): value for name, value in sent.items()}
    refused = status in (429, 503) and headers.get(SHOULD_RETRY) != "false"
    after = headers.get(RETRY_AFTER.lower(), "")  # of an app around the gateway it may be a date
    return Answer(
        status,
        headers,
        iter(chunks),
        getattr(chunks, "close", lambda: None),
        retry_after=(float(after) if after.isdecimal() else RETRY) if refused else None,
        # A turn records its own errors: it has begun.
        out_of_budget=isinstance(error, QuotaExceeded) and not error.recorded,
    )
