"""MCP servers in a request: names of the operator's servers, and servers that the caller brings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from marshmallow import RAISE, Schema, ValidationError, fields
from marshmallow.validate import Length, OneOf

from wrapper.json_text import Json
from wrapper.schemas.mcp_config import HEADER, MOST_SERVERS, TYPES, check_name
from wrapper.services.http_client.urls import CLEAR_BEGIN
from wrapper.services.tools.mcp import McpServer, NamedServer, normalise

MOST_BROUGHT = 8
MOST_HEADERS = 32
LONGEST_HEADER = 8192
LONGEST_URL = 2048
_URL = re.compile(rf"{CLEAR_BEGIN}(?:[/?][!$-\[\]-~]*)?")
# The gateway sets these itself.
_OWN_HEADERS = frozenset(
    {
        *("accept", "accept-encoding", "connection", "content-length", "content-type", "host"),
        *("expect", "keep-alive", "last-event-id", "mcp-protocol-version", "mcp-session-id"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
    }
)


def _check_url(url: str) -> None:
    if len(url) > LONGEST_URL or not _URL.fullmatch(url):
        raise ValidationError(
            "Must be a URL with http or https, in ASCII, without a login or a fragment."
        )


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not HEADER.fullmatch(name) or not (value.isascii() and value.isprintable()):
            raise ValidationError("Must hold names and values of HTTP headers, in ASCII.")
        if name.lower() in _OWN_HEADERS or name.lower().startswith("proxy-"):
            raise ValidationError(f"{name}: the gateway sets this header itself; leave it out.")
        if len(value) > LONGEST_HEADER:
            raise ValidationError(f"{name}: longer than {LONGEST_HEADER} characters.")


class BroughtServerSchema(Schema):
    """A server that a request brings; loads to an McpServer without its path."""

    class Meta:
        unknown = RAISE

    name = fields.String(required=True)
    type = fields.String(validate=OneOf(("http", "sse", *TYPES)))
    url = fields.String(required=True, validate=_check_url)
    headers = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        validate=[Length(max=MOST_HEADERS), _check_headers],
    )
    allowed_tools = fields.List(fields.String(), allow_none=True)


_SCHEMA = BroughtServerSchema()


@dataclass(frozen=True)
class RequestedServers:
    """The names of all servers of a request, and those of them that it brings.

    Those that it names otherwise than in `claude.mcp_servers` are `named`.
    """

    names: tuple[str, ...] = ()
    brought: tuple[McpServer, ...] = ()
    named: Mapping[str, NamedServer] = field(default_factory=dict)

    def add(self, server: McpServer) -> RequestedServers:
        """Return these servers and *server*. Raises ValidationError."""
        self._check_room(server.name)
        if len(self.brought) == MOST_BROUGHT:
            raise ValidationError(f"A request may bring {MOST_BROUGHT} servers.")
        return replace(self, names=(*self.names, server.name), brought=(*self.brought, server))

    def name(self, name: str, server: NamedServer) -> RequestedServers:
        """Return these servers and a *server* of the gateway's. Raises ValidationError."""
        self._check_room(name)
        return replace(self, names=(*self.names, name), named={**self.named, name: server})

    def _check_room(self, name: str) -> None:
        check_name(name, self.names)
        if len(self.names) >= MOST_SERVERS:
            raise ValidationError(f"A request may name {MOST_SERVERS} servers.")

    def join(self, others: RequestedServers) -> RequestedServers:
        """Return these servers and *others*. Raises ValidationError, with the path of one."""
        servers = self
        for server in others.brought:
            servers = _at(server.brought, servers.add, server)
        for name, named in others.named.items():
            servers = _at(named.path, servers.name, name, named)
        return servers


def _at(path: str, add: Callable[..., RequestedServers], *given: object) -> RequestedServers:
    """Return what *add* returns. A ValidationError names the parameter with this *path*."""
    try:
        return add(*given)
    except ValidationError as error:
        above, _, index = path.rpartition(".")
        raise ValidationError({above: {index: error.messages}}) from None


def load_server(value: Json, path: str) -> McpServer:
    """Return the server that the object *value* with this *path* brings. Raises ValidationError."""
    loaded: Json = _SCHEMA.load(value)
    kind = loaded.get("type", "http")
    config = {
        "type": TYPES.get(kind, kind),
        "url": loaded["url"],
        "headers": loaded.get("headers", {}),
    }
    tools = loaded.get("allowed_tools")
    usable = None if tools is None else tuple(map(normalise, tools))
    return McpServer(loaded["name"], config, usable, brought=path)


class ServersField(fields.Field[RequestedServers]):
    """Names of servers, and objects that bring one each."""

    json_schema: ClassVar[Json] = {
        "type": "array",
        "items": {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "required": ["name", "url"],
                    "additionalProperties": False,
                    "properties": {
                        "name": {"type": "string"},
                        "type": {"enum": ["http", "sse", *TYPES]},
                        "url": {"type": "string"},
                        "headers": {"type": "object", "additionalProperties": {"type": "string"}},
                        "allowed_tools": {
                            "anyOf": [
                                {"type": "array", "items": {"type": "string"}},
                                {"type": "null"},
                            ]
                        },
                    },
                },
            ]
        },
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> RequestedServers:
        if not isinstance(value, list):
            raise ValidationError("Not a valid list.")
        if len(value) > MOST_SERVERS:
            raise ValidationError(f"Longer than maximum length {MOST_SERVERS}.")
        servers = RequestedServers()
        for index, given in enumerate(value):
            try:
                servers = self._add(servers, given, f"claude.mcp_servers.{index}")
            except ValidationError as error:
                raise ValidationError({index: error.messages}) from None
        return servers

    def _add(self, servers: RequestedServers, given: Any, path: str) -> RequestedServers:
        if isinstance(given, str):
            return replace(servers, names=(*servers.names, given))
        if not isinstance(given, dict):
            raise ValidationError("Not a valid string or object.")
        return servers.add(load_server(given, path))
