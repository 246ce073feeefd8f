"""A person at the console: a browser without a screen, which sends forms as a browser does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from wrapper.console.browser import CSRF_HEADER

HOME = "/console"
SIGN_IN = f"{HOME}/sign-in"
PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
_CSRF = re.compile(r'"X-CSRF-Token": "([0-9a-f]{64})"')


class ConsoleClient:
    """Opens pages of the console of *app* and sends its forms. It keeps cookies."""

    def __init__(self, app: Flask, **environ: Any):
        self.client: FlaskClient = app.test_client()
        self._environ = environ

    def open(self, path: str = HOME, **headers: str) -> TestResponse:
        return self._send("GET", path, headers={**PAGE, **headers})

    def download(self, path: str) -> TestResponse:
        """Read all of what a link of a page leads to."""
        return self._send("GET", path, headers=PAGE, buffered=True)

    def csrf_token(self) -> str:
        """Return the token in the first page that there is."""
        page = self._send("GET", HOME, headers=PAGE, follow_redirects=True)
        found = _CSRF.search(page.text)
        assert found
        return found[1]

    def post(self, path: str, headers: Mapping[str, str] = {}, **form: Any) -> TestResponse:
        """Send a form with its CSRF token."""
        form = {"csrf_token": self.csrf_token(), **form}
        return self._send("POST", path, headers={**PAGE, **headers}, data=form)

    def change(self, method: str, path: str, **form: str) -> TestResponse:
        """Send what htmx sends for a button of a page."""
        headers = {CSRF_HEADER: self.csrf_token(), "HX-Request": "true"}
        return self._send(method, path, headers=headers, data=form)

    def send(self, method: str, path: str, **options: Any) -> TestResponse:
        """Send a request as it is."""
        return self._send(method, path, **options)

    def sign_in(self, key: str, **form: Any) -> TestResponse:
        return self.post(SIGN_IN, key=key, **form)

    def cookie(self) -> str:
        """Return the cookie header that the client sends."""
        found = self.client.get_cookie("console", path=HOME)
        return f"console={found.value}" if found else ""

    def stolen(self, cookie: str) -> TestResponse:
        """Open the console as somebody else with this cookie alone."""
        thief = self.client.application.test_client(use_cookies=False)
        return thief.get(HOME, headers={**PAGE, "Cookie": cookie})

    def _send(self, method: str, path: str, **options: Any) -> TestResponse:
        return self.client.open(path, method=method, environ_overrides=self._environ, **options)
