"""The Redis store: batches that workers on several machines share."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from wrapper.services.batches.batch import BatchState, LineResult
from wrapper.services.batches.store import PAGE_BYTES
from wrapper.services.redis_client import RedisClient, StoreRedis

PREFIX = "claude-code-gateway:batches"
SETTING = "SESSION_STORE"
NUMBERS = ("total", "claimed", "completed", "failed")
# All scripts have the KEYS of a batch: its state, facts, running lines, released lines and results.
# Nothing is in a pipeline that a caller has written, as a pipeline's errors would show it.
EXPIRE = """
local at = redis.call('HGET', KEYS[1], 'forget_at')
for i = 1, #KEYS do redis.call('EXPIREAT', KEYS[i], at) end
"""
# ARGV: of each refused line its number and result.
REFUSE = f"""
if redis.call('EXISTS', KEYS[1]) == 0 then return end
if redis.call('HEXISTS', KEYS[1], 'total') == 1 then return end
for i = 1, #ARGV, 2 do redis.call('HSET', KEYS[5], ARGV[i], ARGV[i + 1]) end
{EXPIRE}
"""
# ARGV: index, total, the number of refused lines, then facts.
BEGIN = f"""
if redis.call('EXISTS', KEYS[1]) == 0 then return end
if redis.call('HEXISTS', KEYS[1], 'total') == 1 then return end
redis.call('HSET', KEYS[1], 'index', ARGV[1], 'total', ARGV[2], 'failed', ARGV[3])
for i = 4, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
{EXPIRE}
"""
CHANGE = f"""
if redis.call('EXISTS', KEYS[1]) == 0 then return end
for i = 1, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
{EXPIRE}
"""
CLAIM = f"""
local number = redis.call('SPOP', KEYS[4])
if not number then
    local total = tonumber(redis.call('HGET', KEYS[1], 'total') or '0')
    local claimed = tonumber(redis.call('HGET', KEYS[1], 'claimed') or '0')
    while claimed < total and redis.call('HEXISTS', KEYS[5], claimed) == 1 do
        claimed = claimed + 1
    end
    if claimed < total then
        number = claimed
        claimed = claimed + 1
    end
    if total > 0 then redis.call('HSET', KEYS[1], 'claimed', claimed) end
end
if not number then return false end
redis.call('HSET', KEYS[3], number, ARGV[1])
{EXPIRE}
return tonumber(number)
"""
RELEASE = f"""
if redis.call('HDEL', KEYS[3], ARGV[1]) == 1 then
    redis.call('SADD', KEYS[4], ARGV[1])
    {EXPIRE}
end
"""
# ARGV: number, worker, result, and the name of the number that counts it.
FINISH = f"""
if redis.call('HGET', KEYS[3], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('HSET', KEYS[5], ARGV[1], ARGV[3])
redis.call('HINCRBY', KEYS[1], ARGV[4], 1)
{EXPIRE}
return 1
"""
TAKE_OVER = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if (redis.call('HGET', KEYS[1], 'finalizer') or '') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'finalizer', ARGV[2])
return 1
"""


@dataclass(frozen=True)
class _Keys:
    """The keys of a batch."""

    state: str
    facts: str
    running: str
    released: str
    results: str

    def all(self) -> tuple[str, ...]:
        return self.state, self.facts, self.running, self.released, self.results


class RedisBatchStore:
    """A BatchStore in the Redis at *url*, whose keys expire by themselves."""

    def __init__(self, url: str, prefix: str = PREFIX):
        self._redis = StoreRedis(RedisClient(url, SETTING, decode=False), "batches")
        self._prefix = prefix

    def create(self, id_: str, forget_at: float) -> None:
        keys = self._keys(id_)
        with self._redis.reached() as client:
            pipeline = client.pipeline()
            pipeline.hset(keys.state, "forget_at", str(int(forget_at)))
            pipeline.expireat(keys.state, int(forget_at))
            pipeline.execute()

    def read(self, id_: str) -> BatchState | None:
        keys = self._keys(id_)
        with self._redis.reached() as client:
            pipeline = client.pipeline()
            pipeline.hmget(keys.state, ["forget_at", *NUMBERS])
            pipeline.hgetall(keys.facts)
            (known, *numbers), facts = pipeline.execute()
        if known is None:
            return None
        parsed = {name.decode(): json.loads(value) for name, value in facts.items()}
        total, claimed, completed, failed = (int(number or 0) for number in numbers)
        return BatchState(total, claimed, completed, failed, parsed)

    def refuse(self, id_: str, refused: Sequence[LineResult]) -> None:
        lines = [part for line in refused for part in (line.number, _encode(line))]
        self._run(REFUSE, id_, *lines)

    def begin(self, id_: str, index: bytes, total: int, refused: int, facts: Any) -> None:
        self._run(BEGIN, id_, index, total, refused, *_flat(facts))

    def index(self, id_: str) -> bytes:
        with self._redis.reached() as client:
            index: Any = client.hget(self._keys(id_).state, "index")
        return index or b""

    def claim(self, id_: str, worker: str) -> int | None:
        number: int | None = self._run(CLAIM, id_, worker)
        return number

    def release(self, id_: str, number: int) -> None:
        self._run(RELEASE, id_, number)

    def finish(self, id_: str, worker: str, result: LineResult) -> bool:
        counter = "completed" if result.completed else "failed"
        return bool(self._run(FINISH, id_, result.number, worker, _encode(result), counter))

    def running(self, id_: str) -> Sequence[tuple[int, str]]:
        with self._redis.reached() as client:
            lines: Any = client.hgetall(self._keys(id_).running)
        return [(int(number), worker.decode()) for number, worker in lines.items()]

    def results(self, id_: str, first: int, count: int) -> tuple[Sequence[LineResult], int]:
        numbers, key = range(first, first + count), self._keys(id_).results
        with self._redis.reached() as client:
            pipeline = client.pipeline(transaction=False)
            for number in numbers:
                pipeline.hstrlen(key, str(number))
            sizes: list[int] = pipeline.execute()
            before = (sum(sizes[:index]) for index in range(count))
            numbers = numbers[: sum(size <= PAGE_BYTES for size in before)]
            values: Any = client.hmget(key, [str(each) for each in numbers])
        found = [
            LineResult(number, value[:1] == b"1", value[1:])
            for number, value in zip(numbers, values, strict=True)
            if value is not None
        ]
        return found, numbers.stop

    def lines_waiting(self, ids: Collection[str]) -> int:
        with self._redis.reached() as client:
            pipeline = client.pipeline(transaction=False)
            for id_ in ids:
                pipeline.hmget(self._keys(id_).state, ["total", "claimed"])
            numbers = pipeline.execute()
        return sum(int(total or 0) - int(claimed or 0) for total, claimed in numbers)

    def change(self, id_: str, facts: Mapping[str, Any]) -> None:
        self._run(CHANGE, id_, *_flat(facts))

    def take_over(self, id_: str, before: str, after: str) -> bool:
        return bool(self._run(TAKE_OVER, id_, before, after))

    def finalizer(self, id_: str) -> str:
        with self._redis.reached() as client:
            finalizer: Any = client.hget(self._keys(id_).state, "finalizer")
        return (finalizer or b"").decode()

    def delete(self, id_: str) -> None:
        with self._redis.reached() as client:
            client.unlink(*self._keys(id_).all())

    def clear(self, id_: str) -> None:
        keys = self._keys(id_)
        with self._redis.reached() as client:
            client.unlink(keys.running, keys.released, keys.results)
            client.hdel(keys.state, "index")

    def forget(self, now: float) -> None:
        """There is nothing to do: keys expire by themselves."""

    def close(self) -> None:
        self._redis.close()

    def _keys(self, id_: str) -> _Keys:
        begin = f"{self._prefix}:{quote(id_, safe='')}"
        parts = ("facts", "running", "released", "results")
        return _Keys(begin, *(f"{begin}:{part}" for part in parts))

    def _run(self, script: str, id_: str, *values: Any) -> Any:
        keys = self._keys(id_).all()
        with self._redis.reached() as client:
            return client.eval(script, len(keys), *keys, *values)


def _flat(facts: Mapping[str, Any]) -> list[str]:
    return [part for name, value in facts.items() for part in (name, json.dumps(value))]


def _encode(result: LineResult) -> bytes:
    return (b"1" if result.completed else b"0") + result.data
