"""The file of MCP servers: each server's fields, with their types, as Claude Code has them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from marshmallow import RAISE, Schema, ValidationError, fields
from marshmallow.validate import Length

from wrapper.services.tools.mcp import McpServer, normalise

# Other names for a type that people write.
TYPES = {"streamable-http": "http", "streamableHttp": "http"}
# The name under which agents get the client's functions.
RESERVED = "client"
MOST_SERVERS = 100
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_]\w*)(?::-(?P<default>[^}]*))?\}", re.ASCII)
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def _texts() -> fields.Dict:
    return fields.Dict(keys=fields.String(), values=fields.String())


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or not url.isprintable() or " " in url:
        raise ValidationError("Must be a URL with http or https.")


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not HEADER.fullmatch(name) or not value.isprintable():
            raise ValidationError("Must hold names and values of HTTP headers.")


def _check_expanded(value: str | Mapping[str, str]) -> None:
    """Refuse what Claude Code would expand again, from its own environment."""
    texts = [value] if isinstance(value, str) else value.values()
    if any("${" in text for text in texts):
        raise ValidationError("Contains ${ where no variable of the form ${NAME} follows.")


class _StdioSchema(Schema):
    class Meta:
        unknown = RAISE

    type = fields.String()
    command = fields.String(required=True, validate=Length(min=1))
    # Claude Code fails without them.
    args = fields.List(fields.String(), load_default=list)
    env = _texts()


class _UrlSchema(Schema):
    class Meta:
        unknown = RAISE

    type = fields.String()
    url = fields.String(required=True, validate=[_check_expanded, _check_url])
    headers = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        validate=[_check_expanded, _check_headers],
    )


_SCHEMAS = {"stdio": _StdioSchema(), "http": _UrlSchema(), "sse": _UrlSchema()}


def load_servers(table: Any, environment: Mapping[str, str]) -> dict[str, McpServer]:
    """Return the servers of the object `mcpServers` by name, with variables expanded.

    Raises ValidationError with a list of messages for each path. None of them repeats a value.
    """
    if not isinstance(table, dict):
        raise ValidationError({"mcpServers": ["Must be an object with a server under each name."]})
    servers: dict[str, McpServer] = {}
    mistakes: dict[str, list[str]] = {}
    for name, config in table.items():
        try:
            check_name(name, servers)
            servers[name] = McpServer(name, _load(config, environment))
        except ValidationError as error:
            for path, messages in _flat(error.normalized_messages()):  # type: ignore[no-untyped-call]
                mistakes[f"mcpServers.{name[:80]!r}{path}"] = messages
    if len(table) > MOST_SERVERS:
        mistakes["mcpServers"] = [f"Has more than {MOST_SERVERS} servers."]
    if mistakes:
        raise ValidationError(mistakes)
    return servers


def check_name(name: str, others: Iterable[str]) -> None:
    """Refuse a *name* that makes the names of tools ambiguous, or those of *others*' tools."""
    key = normalise(name)
    if not name or not name.isprintable() or len(name) > 64:
        raise ValidationError("Its name must have 1 to 64 printable characters.")
    if "__" in key or key.startswith("_") or key.endswith("_"):
        raise ValidationError(
            f"Its tools would be called mcp__{key}__TOOL, which is ambiguous; give it a name "
            "without double underscores, and with none at its ends."
        )
    if key == RESERVED:
        raise ValidationError(f"The name {RESERVED} is reserved for the client's functions.")
    if other := next((other for other in others if normalise(other) == key), None):
        raise ValidationError(f"Its tools would have the same names as those of {other!r}.")


def _load(config: Any, environment: Mapping[str, str]) -> dict[str, Any]:
    if not isinstance(config, dict):
        raise ValidationError("Must be an object.")
    kind = config.get("type", "stdio")
    kind = TYPES.get(kind, kind) if isinstance(kind, str) else None
    if kind not in _SCHEMAS:
        raise ValidationError({"type": [f"Must be one of: {', '.join(_SCHEMAS)}."]})
    expanded = _expand(config, lambda match: _value(match, environment))
    return {**_SCHEMAS[kind].load(expanded), "type": kind}


def _expand(value: Any, replacement: Callable[[re.Match[str]], str]) -> Any:
    """Return *value* with the variables in all of its texts replaced."""
    if isinstance(value, str):
        return _VARIABLE.sub(replacement, value)
    if isinstance(value, list):
        return [_expand(inner, replacement) for inner in value]
    if isinstance(value, dict):
        return {name: _expand(inner, replacement) for name, inner in value.items()}
    return value


def _value(match: re.Match[str], environment: Mapping[str, str]) -> str:
    value = environment.get(match["name"], match["default"])
    if value is None:
        raise ValidationError(
            f"Names the variable {match['name']}, which is not set; set it, or write "
            f"${{{match['name']}:-DEFAULT}}."
        )
    return value


def _flat(messages: Any, path: str = "") -> Iterator[tuple[str, list[str]]]:
    """Yield the path of each list in Marshmallow's nested *messages*."""
    if isinstance(messages, list):
        yield path, messages
        return
    for key, inner in messages.items():
        yield from _flat(inner, path if key == "_schema" else f"{path}.{key}")
