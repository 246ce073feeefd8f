"""The Redis store of contents: each file in pieces, which expire by themselves."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from wrapper.services.files.redis_keys import PREFIX, SETTING, FileKeys, reached
from wrapper.services.files.store import PIECE_BYTES
from wrapper.services.redis_client import RedisClient, StoreRedis

# Seconds that the pieces stay of a file that is not complete, and longer than a complete one.
SPARE_SECONDS = 3600


class RedisContents:
    """FileContents in the Redis at *url*."""

    def __init__(self, url: str, prefix: str = PREFIX):
        self._redis = StoreRedis(RedisClient(url, SETTING, decode=False), "files")
        self._keys = FileKeys(prefix)

    def create(self, id_: str) -> _Writer:
        return _Writer(self._redis, self._keys.content(id_))

    def read(self, id_: str, start: int, stop: int) -> Generator[bytes] | None:
        key = self._keys.content(id_)
        with reached(self._redis) as client:
            if start < stop and not client.exists(key):
                return None
        return self._pieces(key, start, stop)

    def delete(self, id_: str) -> None:
        with reached(self._redis) as client:
            client.unlink(self._keys.content(id_))

    def close(self) -> None:
        self._redis.close()

    def _pieces(self, key: str, start: int, stop: int) -> Generator[bytes]:
        while start < stop:
            number, skipped = divmod(start, PIECE_BYTES)
            with reached(self._redis) as client:
                piece: Any = client.hget(key, str(number))
            data = (piece or b"")[skipped : skipped + stop - start]
            if not data:
                return
            yield data
            start += len(data)


class _Writer:
    """Puts the pieces of a content into the hash *key*."""

    def __init__(self, redis: StoreRedis, key: str):
        self._redis = redis
        self._key = key
        self._buffer = bytearray()
        self._pieces = 0

    def write(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= PIECE_BYTES:
            self._put(bytes(self._buffer[:PIECE_BYTES]))
            del self._buffer[:PIECE_BYTES]

    def finish(self, expires_at: float) -> None:
        if self._buffer:
            self._put(bytes(self._buffer))
        with reached(self._redis) as client:
            client.expireat(self._key, int(expires_at) + SPARE_SECONDS)

    def close(self) -> None:
        self._buffer.clear()

    def _put(self, piece: bytes) -> None:
        with reached(self._redis) as client:
            # Not in a pipeline, whose errors show the beginning of the piece.
            client.hset(self._key, str(self._pieces), piece)
            client.expire(self._key, SPARE_SECONDS)
        self._pieces += 1
