"""The Redis store of records: files that workers and machines share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wrapper.services.files.file import StoredFile
from wrapper.services.files.redis_keys import PREFIX, SETTING, FileKeys, reached
from wrapper.services.files.store import LEAST_BYTES, Room
from wrapper.services.redis_client import RedisClient, StoreRedis

# Reserves bytes for a file, unless the others leave no room for it.
# KEYS: sizes, expiring. ARGV: id, bytes, until, most bytes, most files, member of expiring.
RESERVE = """
local files, bytes = 0, tonumber(ARGV[2])
local sizes = redis.call('HGETALL', KEYS[1])
for i = 1, #sizes, 2 do
    if sizes[i] ~= ARGV[1] then
        files = files + 1
        bytes = bytes + tonumber(sizes[i + 1])
    end
end
if files >= tonumber(ARGV[5]) or bytes > tonumber(ARGV[4]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[6])
return 1
"""
# Keeps a record. A pipeline's errors would show it.
# KEYS: sizes, records, expiring. ARGV: id, bytes, record, member of expiring, time of expiry.
PUT = """
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
redis.call('ZADD', KEYS[3], ARGV[5], ARGV[4])
"""


class RedisFileRecords:
    """FileRecords in the Redis at *url*."""

    def __init__(self, url: str, prefix: str = PREFIX):
        self._redis = StoreRedis(RedisClient(url, SETTING), "files")
        self._keys = FileKeys(prefix)

    def reserve(self, owner: str, id_: str, size: int, until: float, room: Room) -> bool:
        keys = (self._keys.sizes(owner), self._keys.expiring)
        values = (id_, size + LEAST_BYTES, until, room.bytes, room.files, _member(owner, id_))
        with reached(self._redis) as client:
            return bool(client.eval(RESERVE, len(keys), *keys, *values))

    def put(self, file: StoredFile) -> None:
        owner, id_, size = file.owner, file.id, file.size + LEAST_BYTES
        keys = (self._keys.sizes(owner), self._keys.records(owner), self._keys.expiring)
        values = (id_, size, file.encode(), _member(owner, id_), file.expires_at)
        with reached(self._redis) as client:
            client.eval(PUT, len(keys), *keys, *values)

    def find(self, owner: str, id_: str) -> StoredFile | None:
        with reached(self._redis) as client:
            record: Any = client.hget(self._keys.records(owner), id_)
        return StoredFile.decode(record) if record is not None else None

    def all(self, owner: str) -> list[StoredFile]:
        with reached(self._redis) as client:
            records: Any = client.hvals(self._keys.records(owner))
        files = map(StoredFile.decode, records)
        return sorted(files, key=lambda file: (file.created_at, file.id))

    def latest(self, most: int) -> list[StoredFile]:
        with reached(self._redis) as client:
            members: Any = client.zrange(self._keys.expiring, 0, most - 1, desc=True)
            pipeline = client.pipeline(transaction=False)
            for owner, id_ in map(_parts, members):
                pipeline.hget(self._keys.records(owner), id_)
            records = pipeline.execute()
        return [StoredFile.decode(record) for record in records if record is not None]

    def ids(self, owner: str) -> Sequence[str]:
        with reached(self._redis) as client:
            ids: Any = client.hkeys(self._keys.sizes(owner))
        return [*ids]

    def holds(self, owner: str, id_: str) -> bool:
        with reached(self._redis) as client:
            return bool(client.hexists(self._keys.sizes(owner), id_))

    def delete(self, owner: str, id_: str) -> None:
        with reached(self._redis) as client:
            pipeline = client.pipeline()
            pipeline.hdel(self._keys.sizes(owner), id_)
            pipeline.hdel(self._keys.records(owner), id_)
            pipeline.zrem(self._keys.expiring, _member(owner, id_))
            pipeline.execute()

    def expired(self, now: float) -> Sequence[tuple[str, str]]:
        with reached(self._redis) as client:
            members: Any = client.zrange(
                self._keys.expiring, "-inf", str(now), byscore=True, offset=0, num=1000
            )
        return [*map(_parts, members)]

    def exists(self) -> bool:
        return True

    def close(self) -> None:
        self._redis.close()


def _member(owner: str, id_: str) -> str:
    return f"{id_} {owner}"


def _parts(member: str) -> tuple[str, str]:
    """Return the owner and the id of a member."""
    id_, _, owner = member.partition(" ")
    return owner, id_
