"""The transport that resolves a host by itself, and connects to an address that it has checked."""

from __future__ import annotations

import ssl
from functools import cache

import httpx

from wrapper.services.http_client.addresses import UnusableAddress, resolve

MOST_CONNECTIONS = 8
MOST_ADDRESSES = 4
CONNECT_SECONDS = 5.0


class PinnedTransport(httpx.AsyncBaseTransport):
    """Sends each request to an address of its host that is public, and uses no proxy.

    It resolves the host before each request, and connects to an address that it has checked. So it
    does not matter whether the host has other addresses a moment later. TLS verifies the host's
    name all the same. All requests must be for one host, as connections are used again.

    *private* allows addresses that are not public. *inner* makes the connections.
    """

    def __init__(self, *, private: bool, inner: httpx.AsyncBaseTransport | None = None):
        self._private = private
        self._inner = inner or _connections()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response. Raises httpx.TransportError, which says why in words for anyone."""
        url, host = request.url, _ascii_host(request.url)
        error = httpx.TransportError("its host name has no address")
        request.extensions = {**request.extensions, "sni_hostname": host}
        for address in (await self._resolve(url))[:MOST_ADDRESSES]:
            request.url = url.copy_with(host=address)
            try:
                return await self._inner.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout) as failed:
                error = httpx.TransportError(_reason(failed))
            except httpx.TransportError:
                raise httpx.TransportError("it closed the connection") from None
            finally:
                request.url = url
        raise error

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _resolve(self, url: httpx.URL) -> list[str]:
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            return await resolve(_ascii_host(url), port, private=self._private)
        except UnusableAddress as error:
            raise httpx.TransportError(str(error)) from None


def _ascii_host(url: httpx.URL) -> str:
    """Return the host as DNS has it. Python encodes its Unicode form otherwise, to another name."""
    return url.raw_host.decode("ascii")


def _connections() -> httpx.AsyncHTTPTransport:
    limits = httpx.Limits(max_connections=MOST_CONNECTIONS)
    return httpx.AsyncHTTPTransport(verify=_ssl_context(), trust_env=False, limits=limits)


@cache
def _ssl_context() -> ssl.SSLContext:
    """Return the context with the certificates that are trusted, which takes long to read."""
    return httpx.create_ssl_context()


def _reason(error: Exception) -> str:
    if "CERTIFICATE" in str(error):
        return "its certificate cannot be verified"
    if isinstance(error, httpx.ConnectTimeout):
        return "nothing answers at its address"
    return "nothing listens at its address"
