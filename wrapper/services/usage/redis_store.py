"""The Redis store: usage that several gateways share."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wrapper.services.redis_client import RedisClient
from wrapper.services.usage.login_limits import LimitRow
from wrapper.services.usage.redis_batch import MONTHS, PREFIX, USERS, Batch, hash_name
from wrapper.services.usage.store import Amounts, Row
from wrapper.services.usage.tool_counts import MAX_TOOLS, OTHER, ToolCounts, ToolRow

if TYPE_CHECKING:
    from redis import Redis

TOOLS = f"{PREFIX}:tools"
TOOL_NAMES = f"{PREFIX}:tool-names"
LIMITS = f"{PREFIX}:provider-limits"
ANNOUNCED = f"{PREFIX}:announced"

# KEYS: the set of keys, the set of months, the set of the month's tools, their hash. ARGV: the key,
# the month, the most tools, the name of all others, the day, then for each tool its name and
# its four numbers.
ADD_TOOLS = """
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('SADD', KEYS[2], ARGV[2])
for at = 6, #ARGV, 5 do
    local tool = ARGV[at]
    if redis.call('SISMEMBER', KEYS[3], tool) == 0 then
        if redis.call('SCARD', KEYS[3]) < tonumber(ARGV[3]) then
            redis.call('SADD', KEYS[3], tool)
        else
            tool = ARGV[4]
        end
    end
    for number = 1, 4 do
        redis.call('HINCRBY', KEYS[4], ARGV[5] .. ':' .. number .. ':' .. tool, ARGV[at + number])
    end
end
"""


class RedisUsageStore:
    """A UsageStore, ToolStore and LimitStore in the Redis at *url*.

    Usage is in hashes for each key and month. It needs redis-py.

    Where a reply of Redis is lost, it is unknown whether the batch was booked. Such a batch is made
    void before anything else is read or added, so that an add that raised adds nothing.
    """

    def __init__(self, url: str, *, new_id: Callable[[], str] = lambda: uuid.uuid4().hex):
        self._redis = RedisClient(url, "REDIS_URL")
        self._new_id = new_id
        self._doubtful: list[Batch] = []

    def add(self, rows: Sequence[Row]) -> None:
        with self._reached() as client:
            from redis import ResponseError

            batch = Batch(self._new_id(), tuple(rows))
            try:
                batch.run(client, "booked")
            except ResponseError:
                raise  # Redis has replied and booked nothing
            except BaseException:
                self._doubtful.append(batch)
                raise

    def read(self, first: str, last: str, key: str | None = None) -> list[Row]:
        with self._reached() as client:
            hashes = _read(client, PREFIX, (first, last), key)
            rows = [row for name, month, kept in hashes for row in _rows(name, month, kept)]
        chosen = [row for row in rows if first <= row.day <= last]
        return sorted(chosen, key=lambda row: (row.day, row.key, row.model))

    def read_user(self, first: str, last: str, key: str, user: str) -> list[Row]:
        month, days = first[:7], [f"{day:02}" for day in range(int(first[8:]), int(last[8:]) + 1)]
        with self._reached() as client:
            fields = [f"{day}:{user}" for day in days]
            values = client.hmget(hash_name(key, month, USERS), fields)
        return [
            Row(f"{month}-{day}", key, "", Amounts(nanos=int(value)), user)
            for day, value in zip(days, values, strict=True)
            if value
        ]

    def announce(self, day: str, occurrence: str) -> bool:
        with self._reached() as client:
            return bool(client.set(f"{ANNOUNCED}:{occurrence}", day, nx=True, ex=MONTHS))

    def add_tools(self, day: str, key: str, counts: Mapping[str, ToolCounts]) -> None:
        month = day[:7]
        keys = (f"{PREFIX}:keys", f"{PREFIX}:months", hash_name(key, month, TOOL_NAMES))
        each = [part for tool, added in counts.items() for part in (tool, *added.values())]
        with self._reached() as client:
            hashes = (*keys, hash_name(key, month, TOOLS))
            arguments = (key, month, MAX_TOOLS, OTHER, day[8:], *each)
            client.eval(ADD_TOOLS, len(hashes), *hashes, *map(str, arguments))

    def read_tools(self, first: str, last: str, key: str | None = None) -> list[ToolRow]:
        sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        with self._reached() as client:
            for name, month, kept in _read(client, TOOLS, (first, last), key):
                for field, value in kept.items():
                    day, number, tool = field.split(":", 2)
                    if first <= f"{month}-{day}" <= last:
                        sums[name, tool][int(number) - 1] += int(value)
        return [ToolRow(*names, ToolCounts(*numbers)) for names, numbers in sorted(sums.items())]

    def put_limits(self, login: str, learned_at: float, facts: Mapping[str, Any]) -> None:
        with self._reached() as client:
            for part, known in facts.items():
                client.hset(LIMITS, f"{login}:{part}", json.dumps([learned_at, known]))

    def read_limits(self) -> list[LimitRow]:
        rows = []
        with self._reached() as client:
            for name, text in sorted(client.hgetall(LIMITS).items()):
                login, part = str(name).split(":", 1)
                learned_at, known = json.loads(text)
                rows.append(LimitRow(login, part, learned_at, known))
        return rows

    def check(self) -> None:
        with self._reached() as client:
            client.ping()

    def close(self) -> None:
        self._redis.close()

    @contextlib.contextmanager
    def _reached(self) -> Iterator[Redis]:
        """Yield a client once doubtful batches are void. Raises StoreFailed."""
        with self._redis.reached() as client:
            self._void(client)
            yield client

    def _void(self, client: Redis) -> None:
        for batch in list(self._doubtful):
            batch.run(client, "void")
            with contextlib.suppress(ValueError):  # another thread removed it
                self._doubtful.remove(batch)


def _read(
    client: Redis, prefix: str, days: tuple[str, str], key: str | None
) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Yield key, month and content of each hash of the months of *days*, of one key or all."""
    first, last = days
    months = [str(name) for name in client.smembers(f"{PREFIX}:months")]
    months = sorted(month for month in months if first[:7] <= month <= last[:7])
    keys = [str(name) for name in client.smembers(f"{PREFIX}:keys")] if key is None else [key]
    wanted = [(name, month) for month in months for name in keys]
    pipeline = client.pipeline()
    for name, month in wanted:
        pipeline.hgetall(hash_name(name, month, prefix))
    for (name, month), kept in zip(wanted, pipeline.execute(), strict=True):
        yield name, month, kept


def _rows(key: str, month: str, kept: dict[str, str]) -> list[Row]:
    """Return the rows in a month's hash, whose fields are day:amount:model."""
    amounts: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for field, value in kept.items():
        day, name, model = field.split(":", 2)
        amounts[f"{month}-{day}", model][name] = int(value)
    rows = [Row(day, key, model, Amounts(**numbers)) for (day, model), numbers in amounts.items()]
    return [row for row in rows if row.amounts != Amounts()]
