"""The sender: posts one event to one endpoint."""

from __future__ import annotations

import asyncio
import time

import httpx

from wrapper.services.http_client.log_filter import drop_logs
from wrapper.services.http_client.pinned_transport import CONNECT_SECONDS, PinnedTransport
from wrapper.services.webhooks.attempt import Result
from wrapper.services.webhooks.endpoint import Endpoint
from wrapper.services.webhooks.event import Delivery
from wrapper.services.webhooks.signature import signed_headers
from wrapper.version import __version__

ATTEMPT_SECONDS = 10.0
HEADERS = {
    "Content-Type": "application/json",
    "User-Agent": f"claude-code-gateway/{__version__}",
    "Accept-Encoding": "identity",
}


async def post(endpoint: Endpoint, delivery: Delivery) -> Result:
    """Return the result of an attempt. It follows no redirect, and reads no body.

    Each attempt has a connection of its own, since connections must not be used for other hosts.
    """
    drop_logs()
    signed = signed_headers(delivery.id, int(time.time()), delivery.body, endpoint.secret)
    try:
        async with (
            asyncio.timeout(ATTEMPT_SECONDS),
            httpx.AsyncClient(
                transport=PinnedTransport(private=endpoint.private),
                timeout=httpx.Timeout(ATTEMPT_SECONDS, connect=CONNECT_SECONDS),
                trust_env=False,
            ) as client,
            client.stream(
                "POST", endpoint.url, content=delivery.body, headers=HEADERS | signed
            ) as response,
        ):
            return Result(response.status_code)
    except TimeoutError:
        return Result(error="it did not answer in time")
    except httpx.TransportError as error:
        return Result(error=str(error))
    except httpx.InvalidURL:  # which quotes it
        return Result(error="its URL cannot be used")
