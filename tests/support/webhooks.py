"""Webhooks in tests: secrets, a receiver on loopback, and a dispatcher with a clock of its own."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from openai import OpenAI

from wrapper.services.webhooks.attempt import Result
from wrapper.services.webhooks.dispatcher import Dispatcher, Environment
from wrapper.services.webhooks.endpoint import Endpoints
from wrapper.services.webhooks.event import Delivery, new_delivery
from wrapper.services.webhooks.store import DeliveryStore

SECRET = "whsec_" + "QUJDREVGR0g" * 4
OTHER_SECRET = "whsec_" + "MTIzNDU2Nzg" * 4


@dataclass(frozen=True)
class Received:
    """A request, and the status that it was answered with."""

    path: str
    headers: dict[str, str]
    body: bytes
    status: int


class Receiver:
    """Receives events at /hook on loopback, and answers with the next of *statuses*, then 200."""

    def __init__(self, statuses: Iterable[int] = ()):
        self.statuses = [*statuses]
        self.received: list[Received] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.statuses.pop(0) if receiver.statuses else 200
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.received.append(Received(self.path, headers, body, status))
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "3")
                self.end_headers()
                self.wfile.write(b"ok\n")

            def log_message(self, *_: Any) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    def accepted(self, secret: str = SECRET) -> list[dict[str, Any]]:
        """Return the events that were answered with 200, each verified by OpenAI's library."""
        return [
            verified(each.body, each.headers, secret)
            for each in self.received
            if each.status == 200
        ]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def verified(body: bytes, headers: dict[str, str], secret: str) -> dict[str, Any]:
    """Return the event in *body*. Raises an error of OpenAI's library for a wrong signature."""
    with OpenAI(api_key="unused", webhook_secret=secret) as client:
        event = client.webhooks.unwrap(body, headers)
    assert event.id == headers["webhook-id"]
    return dict(json.loads(body))


class DispatcherHarness:
    """Runs a dispatcher step by step. `now` is its clock, and `results` are of its attempts.

    Without a further result an attempt is accepted. `sent` has the URL and id of each.
    """

    def __init__(self, store: DeliveryStore, endpoints: Endpoints):
        self.now = 1_800_000_000.0
        self.results: list[Result | Exception] = []
        self.sent: list[tuple[str, str]] = []
        self.counted: list[tuple[str, str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        environment = Environment(
            self._post, lambda *pair: self.counted.append(pair), lambda: self.now, lambda: 1.0
        )
        self.dispatcher = Dispatcher(store, endpoints, environment)

    def announce(
        self,
        *occurrences: str,
        recipient: str = "alice",
        stored: Callable[[], None] | None = None,
    ) -> list[Delivery]:
        made = [
            new_delivery(recipient, "response.completed", {"id": name}, name, self.now)
            for name in occurrences
        ]
        self.dispatcher.add(made, stored)
        return made

    async def step(self) -> float:
        """Make a step, and wait for the attempts that it begins, if the gate is open."""
        seconds = self.dispatcher.step()
        for _ in range(20):
            await asyncio.sleep(0)
        return seconds

    async def _post(self, endpoint: Any, delivery: Delivery) -> Result:
        self.sent.append((endpoint.url, delivery.id))
        await self.gate.wait()
        result = self.results.pop(0) if self.results else Result(200)
        if isinstance(result, Exception):
            raise result
        return result
