"""The console of a running gateway, without a browser."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from tests.support.server import Server, eventually

HOME = "/console"
TURN = re.compile(r'name="worker" value="(\w+)"><input type="hidden" name="number" value="(\d+)"')


class LiveConsole:
    """Somebody at the console of *server*, who has signed in if there is a *key*.

    Each request has a connection of its own, so that any worker may answer it.
    """

    def __init__(self, server: Server, key: str = ""):
        self._server = server
        self._cookie = ""
        if key:
            assert self.post(f"{HOME}/sign-in", key=key) == 303

    def open(self, path: str = HOME) -> str:
        return self._send("GET", path)[1]

    def post(self, path: str, **form: str) -> int:
        """Send a form with its CSRF token, and return the status."""
        (token,) = re.findall(r'"X-CSRF-Token": "([0-9a-f]{64})"', self.open(f"{HOME}/sign-in"))
        return self._send("POST", path, urlencode({"csrf_token": token, **form}).encode())[0]

    def turns(self, count: int) -> list[tuple[str, str]]:
        """Return the turns that can be stopped, once every worker shows so many of them."""
        pages: list[str] = []

        def are_shown() -> bool:
            pages[:] = [self.open() for _ in range(4)]
            return all(len(TURN.findall(page)) == count for page in pages)

        assert eventually(are_shown), pages
        return TURN.findall(pages[0])

    def stop(self, turn: tuple[str, str]) -> int:
        """Stop a turn, and return the status of the answer."""
        worker, number = turn
        return self.post(f"{HOME}/stop", worker=worker, number=number)

    def _send(self, method: str, path: str, body: bytes | None = None) -> tuple[int, str]:
        headers = {"Accept": "text/html", "Cookie": self._cookie}
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        status, received, data = self._server.call(method, path, body, headers)
        if cookie := received.get("set-cookie"):
            self._cookie = cookie.partition(";")[0]
        if status == 303 and method == "GET":
            return self._send(method, received["location"])
        return status, data.decode()
