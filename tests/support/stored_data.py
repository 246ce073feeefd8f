"""Looks for texts in all that a gateway stores: SQLite's tables, a directory, and Redis."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from redis import Redis

from tests.support.found_files import files_in

# Redis's keys and SQLite's tables are named so in the source.
REDIS_NAME = re.compile(r"claude-(?:code-)?gateway:[a-z-]+")
SQLITE = b"SQLite format 3\0"
TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+)")


def declared(pattern: re.Pattern[str]) -> set[str]:
    """Return what the gateway's source names by *pattern*."""
    files = (Path(__file__).parents[2] / "wrapper").rglob("*.py")
    return {name for file in files for name in pattern.findall(file.read_text())}


class StoredData:
    """What a gateway stores in *folder*, and in the Redis at *url* if it has one."""

    def __init__(self, folder: Path, url: str = ""):
        self._folder = folder
        self._url = url

    def holding(self, *texts: bytes) -> set[str]:
        """Return the tables and Redis's keys with any of *texts*, and "contents" for files."""
        return {
            name
            for name, data in (*self._rows(), *self._files(), *self._keys())
            if any(text in data for text in texts)
        }

    def _rows(self) -> Iterator[tuple[str, bytes]]:
        for path in files_in(self._folder, "*.db"):
            if path.read_bytes()[: len(SQLITE)] != SQLITE:
                continue  # as those of metrics
            with contextlib.closing(sqlite3.connect(path)) as connection:
                tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
                for (table,) in tables.fetchall():
                    for row in connection.execute(f"SELECT * FROM {table}"):  # noqa: S608
                        yield table, _bytes(row)

    def _files(self) -> Iterator[tuple[str, bytes]]:
        for path in files_in(self._folder, "file-*"):
            yield "contents", path.read_bytes()

    def _keys(self) -> Iterator[tuple[str, bytes]]:
        if self._url:
            with Redis.from_url(self._url) as client:
                for key in client.scan_iter():
                    yield key.decode(), key + _bytes(_value(client, key))


def _value(client: Any, key: bytes) -> Any:
    kind = client.type(key).decode()
    readers = {
        "string": client.get,
        "hash": client.hgetall,
        "list": lambda name: client.lrange(name, 0, -1),
        "set": client.smembers,
        "zset": lambda name: client.zrange(name, 0, -1),
        "stream": client.xrange,
        "none": lambda _: None,
    }
    return readers[kind](key)


def _bytes(value: Any) -> bytes:
    """Return all texts and bytes in *value*, one after the other."""
    if isinstance(value, dict):
        return b" ".join(_bytes(part) for pair in value.items() for part in pair)
    if isinstance(value, (list, tuple, set)):
        return b" ".join(map(_bytes, value))
    return value if isinstance(value, bytes) else str(value).encode()
