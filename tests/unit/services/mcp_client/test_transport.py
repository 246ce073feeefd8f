"""The transport to a caller's MCP server: what it connects to, and what it takes from there."""

from __future__ import annotations

import asyncio
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
import trustme

from wrapper.services.http_client import pinned_transport
from wrapper.services.mcp_client.transport import (
    LONGEST_ANSWER,
    MOST_REQUESTS,
    CheckedTransport,
)
from wrapper.services.tools.mcp import McpServer

JSON = {"Content-Type": "application/json"}
URL = "https://mcp.example.com/mcp"


class Resolver:
    """Answers with the next of *answers* each time, as a name server that changes its mind."""

    def __init__(self, *answers):
        self._answers = [*answers]

    async def __call__(self, host, port, *, private=False):
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


class Inner(httpx.AsyncBaseTransport):
    """Notes the URLs that are connected to, and answers with *respond*."""

    def __init__(self, respond=lambda request: httpx.Response(200, json="ok")):
        self.connected: list[tuple[str, str]] = []
        self._respond = respond

    async def handle_async_request(self, request):
        name = request.extensions["sni_hostname"]
        self.connected.append((request.url.host, name))
        assert request.headers["Host"].startswith(name)
        response = self._respond(request)
        if not isinstance(response.stream, httpx.AsyncByteStream):
            raise TypeError
        return response


def server(kind="http", url=URL, **fields):
    return McpServer("mine", {"type": kind, "url": url, "headers": {}}, brought="x", **fields)


def run(checked, *requests):
    """Return the responses to *requests*, or the errors that they raise."""

    async def send(client, method, url, headers):
        try:
            return await client.request(method, url, headers=headers)
        except httpx.TransportError as error:
            return error

    async def main():
        async with httpx.AsyncClient(transport=checked, trust_env=False) as client:
            return [
                await send(client, method, url, dict(headers)) for method, url, *headers in requests
            ]

    return asyncio.run(main())


def test_connects_to_the_checked_address(monkeypatch):
    """It connects to the address that was checked, in the name of the host."""
    monkeypatch.setattr(pinned_transport, "resolve", Resolver(["8.8.8.8"]))
    inner = Inner()
    (response,) = run(CheckedTransport(server(), inner), ("POST", URL))
    assert response.json() == "ok"
    assert inner.connected == [("8.8.8.8", "mcp.example.com")]


def test_dns_that_changes(monkeypatch):
    """A name that resolves to a private address a moment later is not connected to then."""

    async def getaddrinfo(*_, **__):
        return [(0, 0, 0, "", (addresses.pop(0), 443))]

    async def main():
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        async with httpx.AsyncClient(transport=checked, trust_env=False) as client:
            assert (await client.post(URL)).json() == "ok"
            with pytest.raises(httpx.TransportError):
                await client.post(URL)

    addresses, inner = ["8.8.8.8", "169.254.169.254", "8.8.8.8"], Inner()
    checked = CheckedTransport(server(), inner)
    asyncio.run(main())
    assert inner.connected == [("8.8.8.8", "mcp.example.com")]
    assert checked.failure == "its host has an address that is not public"
    assert addresses == ["8.8.8.8"]


@pytest.mark.parametrize("host", ["xn--fa-hia.de", "mcp.example.com"])
def test_international_host(monkeypatch, host):
    """DNS and TLS are asked for the host as the URL writes it, and not for a similar one."""

    async def getaddrinfo(name, *_, **__):
        asked.append(name)
        return [(0, 0, 0, "", ("8.8.8.8", 443))]

    async def main():
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        async with httpx.AsyncClient(transport=checked, trust_env=False) as client:
            await client.post(url)

    url, inner = f"https://{host}/mcp", Inner()
    asked: list[str] = []
    checked = CheckedTransport(server(url=url), inner)
    asyncio.run(main())
    assert asked == [host]
    assert inner.connected == [("8.8.8.8", host)]


def test_the_next_address(monkeypatch):
    """If nothing listens at one address of the host, it tries the next one."""

    def respond(request):
        if request.url.host == "8.8.8.8":
            raise httpx.ConnectError("refused")
        return httpx.Response(200, json="ok")

    monkeypatch.setattr(pinned_transport, "resolve", Resolver(["8.8.8.8", "1.1.1.1"]))
    inner = Inner(respond)
    (response,) = run(CheckedTransport(server(), inner), ("POST", URL))
    assert response.json() == "ok"
    assert [address for address, _ in inner.connected] == ["8.8.8.8", "1.1.1.1"]


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest", "https://other.example.com/", "https://8.8.8.8/"]
)
def test_other_hosts(monkeypatch, url):
    """No request goes to another host, wherever a server redirects to."""
    monkeypatch.setattr(pinned_transport, "resolve", Resolver(["8.8.8.8"]))
    inner = Inner()
    checked = CheckedTransport(server(), inner)
    (error,) = run(checked, ("POST", url))
    assert isinstance(error, httpx.TransportError)
    assert checked.failure == "it redirects to another host"
    assert not inner.connected


@pytest.mark.parametrize(
    ("response", "failure"),
    [
        (httpx.Response(200, json={}), ""),
        (httpx.Response(200, text="<p>"), "its answer is neither JSON nor a stream of events"),
        (
            httpx.Response(302, headers={"Location": "http://169.254.169.254/"}),
            "it redirects (302)",
        ),
        (httpx.Response(403), "it refused the login (403)"),
        (httpx.Response(500), "it answered with the status 500"),
    ],
)
def test_statuses(monkeypatch, response, failure):
    """It knows why an answer is of no use."""
    monkeypatch.setattr(pinned_transport, "resolve", Resolver(["8.8.8.8"]))
    checked = CheckedTransport(server(), Inner(lambda _: response))
    run(checked, ("POST", URL))
    assert checked.failure == failure


@pytest.mark.parametrize(
    ("response", "failure"),
    [
        (
            httpx.Response(200, headers=JSON, stream=httpx.ByteStream(b"x" * (LONGEST_ANSWER + 1))),
            "its answer is too long",
        ),
        (
            httpx.Response(
                200,
                headers={**JSON, "Content-Encoding": "gzip"},
                stream=httpx.ByteStream(b"\x1f\x8b"),
            ),
            "it compresses its answers, which may be of any length then",
        ),
    ],
)
def test_answers_of_any_length(monkeypatch, response, failure):
    """It does not take an answer that is too long, or could be once it is unpacked."""
    monkeypatch.setattr(pinned_transport, "resolve", Resolver(["8.8.8.8"]))
    checked = CheckedTransport(server(), Inner(lambda _: response))
    (error,) = run(checked, ("POST", URL))
    assert isinstance(error, httpx.TransportError)
    assert checked.failure == failure


def test_too_many_requests(monkeypatch):
    """A server cannot make its client ask forever."""
    monkeypatch.setattr(pinned_transport, "resolve", Resolver(["8.8.8.8"]))
    inner = Inner()
    checked = CheckedTransport(server(), inner)
    *_, last = run(checked, *[("POST", URL)] * (MOST_REQUESTS + 1))
    assert isinstance(last, httpx.TransportError)
    assert len(inner.connected) == MOST_REQUESTS


@pytest.mark.parametrize(
    ("kind", "headers", "connects"),
    [("http", {}, False), ("http", {"Last-Event-ID": "1"}, True), ("sse", {}, True)],
)
def test_what_a_server_says_unasked(monkeypatch, kind, headers, connects):
    """A stream for what a server says unasked is not opened; an answer's stream is resumed."""
    monkeypatch.setattr(pinned_transport, "resolve", Resolver(["8.8.8.8"]))
    inner = Inner()
    (response,) = run(CheckedTransport(server(kind), inner), ("GET", URL, *headers.items()))
    assert response.status_code == (200 if connects else 405)
    assert bool(inner.connected) is connects


class _Hello(BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        """Log nothing."""


@pytest.fixture
def tls_server(monkeypatch):
    """The port of a server with a certificate for mcp.example.com, which the transport trusts."""
    authority = trustme.CA()
    trusted, own = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(trusted)
    authority.issue_cert("mcp.example.com").configure_cert(own)
    monkeypatch.setattr(pinned_transport, "_ssl_context", lambda: trusted)
    monkeypatch.setattr(pinned_transport, "resolve", Resolver(["127.0.0.1"]))
    with HTTPServer(("127.0.0.1", 0), _Hello) as http:
        http.socket = own.wrap_socket(http.socket, server_side=True)
        http.handle_error = lambda *_: None  # type: ignore[method-assign]
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        yield http.server_address[1]
        http.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("host", "failure"),
    [("mcp.example.com", ""), ("other.example.com", "its certificate cannot be verified")],
)
def test_tls_verifies_the_host_name(tls_server, host, failure):
    """TLS verifies the name of the host, although the address is connected to."""
    url = f"https://{host}:{tls_server}/mcp"
    checked = CheckedTransport(server(url=url))
    (response,) = run(checked, ("POST", url))
    assert checked.failure == failure
    assert isinstance(response, httpx.TransportError) is bool(failure)
