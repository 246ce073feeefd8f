"""MCP_CONFIG: the file of MCP servers in Claude Code's own format, read again when it changes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from marshmallow import ValidationError

from wrapper.schemas.mcp_config import load_servers
from wrapper.services.tools.mcp import McpServer
from wrapper.settings import Settings, SettingsError, environment
from wrapper.watched_file import Unreadable, WatchedFile, read_text

SETTING = "MCP_CONFIG"
BROKEN = f"{SETTING} is broken; the previous servers stay; the log says why"

Servers = Mapping[str, McpServer]


class McpConfig:
    """The servers in the file at *path*, by name. Variables in it are those of *variables*.

    Raises SettingsError if the first reading fails. If a later one does, the servers stay.
    """

    def __init__(self, path: str, variables: Mapping[str, str]):
        self._file = WatchedFile(
            path,
            lambda path: _read(path, variables),
            setting=SETTING,
            broken=BROKEN.rpartition(";")[0],
            count=lambda servers: f"it has {len(servers)} servers now",
        )

    def servers(self) -> Servers:
        return self._file.value()

    @property
    def error(self) -> str | None:
        """Return the message for /health if the file is broken."""
        return BROKEN if self._file.is_broken() else None


def open_mcp_config(settings: Settings) -> McpConfig | None:
    """Return the servers of MCP_CONFIG, or None if it is not set. Raises SettingsError."""
    return McpConfig(settings.mcp_config, environment()) if settings.mcp_config else None


def _read(path: Path, variables: Mapping[str, str]) -> Servers:
    try:
        document = json.loads(read_text(path, "write one, or leave the setting out"))
        if not isinstance(document, dict) or "mcpServers" not in document:
            raise ValueError(f'{path} is no object with "mcpServers"')
        return load_servers(document["mcpServers"], variables)
    except Unreadable as error:
        raise Unreadable([f"{SETTING}: {mistake}" for mistake in error.mistakes]) from None
    except ValidationError as error:
        raise SettingsError([*_mistakes(path, error)]) from None
    except json.JSONDecodeError as error:  # whose message may quote the text
        where = f"line {error.lineno} column {error.colno}"
        raise SettingsError([f"{SETTING}: {path} is not valid JSON at {where}"]) from None
    except (ValueError, RecursionError) as error:
        raise SettingsError([f"{SETTING}: {error}; correct it"]) from None


def _mistakes(path: Path, error: ValidationError) -> Iterator[str]:
    messages: dict[str, Any] = error.messages_dict
    for where, texts in messages.items():
        yield from (f"{SETTING}: {path}: {where}: {text}" for text in texts)
