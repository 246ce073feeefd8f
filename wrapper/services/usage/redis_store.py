"""The Redis store: usage that several gateways share."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wrapper.services.redis_client import RedisClient, RedisFailed
from wrapper.services.usage.login_limits import LimitRow
from wrapper.services.usage.store import NAMES, Amounts, Row, StoreFailed
from wrapper.services.usage.tool_counts import MAX_TOOLS, OTHER, ToolCounts, ToolRow

if TYPE_CHECKING:
    from redis import Redis

PREFIX = "claude-code-gateway:usage"
TOOLS = f"{PREFIX}:tools"
TOOL_NAMES = f"{PREFIX}:tool-names"
LIMITS = f"{PREFIX}:provider-limits"
# Seconds to keep a batch's mark: longer than Redis should be out of reach.
MARK = 86400

# KEYS: the batch's mark, the set of keys, the set of months, then the hashes. ARGV: "booked" or
# "void", the mark's time to live, a key and a month for each hash, then for each increment the
# number of its hash, its field and the increment. MULTI would leave half a batch where an
# increment is refused, and could not void a batch that is still on its way.
BATCH = """
local was = redis.call('GET', KEYS[1])
if ARGV[1] == 'booked' and was then return 0 end
if ARGV[1] == 'void' and was ~= 'booked' then
    redis.call('SET', KEYS[1], 'void', 'EX', ARGV[2])
    return 0
end
local at = 3
for _ = 4, #KEYS do
    redis.call('SADD', KEYS[2], ARGV[at])
    redis.call('SADD', KEYS[3], ARGV[at + 1])
    at = at + 2
end
for i = at, #ARGV, 3 do
    local reply = redis.pcall('HINCRBY', KEYS[tonumber(ARGV[i])], ARGV[i + 1], ARGV[i + 2])
    if type(reply) == 'table' and reply.err then
        for j = at, i - 3, 3 do
            local number = ARGV[j + 2]
            local back = string.sub(number, 1, 1) == '-' and string.sub(number, 2) or '-' .. number
            redis.call('HINCRBY', KEYS[tonumber(ARGV[j])], ARGV[j + 1], back)
        end
        return reply
    end
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
"""

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


@dataclass(frozen=True)
class _Batch:
    """Rows that are added together, and the id under which Redis marks them as added."""

    id: str
    rows: tuple[Row, ...]

    def arguments(self, state: str) -> tuple[list[str], list[str]]:
        """Return the script's KEYS and ARGV. Voiding a batch books its negative."""
        sign = -1 if state == "void" else 1
        hashes: dict[tuple[str, str], int] = {}
        changes: list[str] = []
        for row in self.rows:
            number = hashes.setdefault((row.key, row.day[:7]), len(hashes) + 4)
            for name, value in zip(NAMES, row.amounts.values(), strict=True):
                if value:
                    field = f"{row.day[8:]}:{name}:{row.model}"
                    changes += [str(number), field, str(sign * value)]
        keys = [f"{PREFIX}:batch:{self.id}", f"{PREFIX}:keys", f"{PREFIX}:months"]
        keys += [_hash(key, month) for key, month in hashes]
        known = [part for pair in hashes for part in pair]
        return keys, [state, str(MARK), *known, *changes]


class RedisUsageStore:
    """A UsageStore, ToolStore and LimitStore in the Redis at *url*.

    Usage is in hashes for each key and month. It needs redis-py.

    Where a reply of Redis is lost, it is unknown whether the batch was booked. Such a batch is made
    void before anything else is read or added, so that an add that raised adds nothing.
    """

    def __init__(self, url: str, *, new_id: Callable[[], str] = lambda: uuid.uuid4().hex):
        self._redis = RedisClient(url, "REDIS_URL")
        self._new_id = new_id
        self._doubtful: list[_Batch] = []

    def add(self, rows: Sequence[Row]) -> None:
        with self._reached() as client:
            from redis import ResponseError

            batch = _Batch(self._new_id(), tuple(rows))
            try:
                _run(client, batch, "booked")
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

    def add_tools(self, day: str, key: str, counts: Mapping[str, ToolCounts]) -> None:
        month = day[:7]
        keys = (f"{PREFIX}:keys", f"{PREFIX}:months", _hash(key, month, TOOL_NAMES))
        each = [part for tool, added in counts.items() for part in (tool, *added.values())]
        with self._reached() as client:
            hashes = (*keys, _hash(key, month, TOOLS))
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
        """Yield a client once doubtful batches are void. Errors become StoreFailed."""
        try:
            with self._redis.reached() as client:
                self._void(client)
                yield client
        except RedisFailed as error:
            raise StoreFailed(error.reason, error.where) from None

    def _void(self, client: Redis) -> None:
        for batch in list(self._doubtful):
            _run(client, batch, "void")
            with contextlib.suppress(ValueError):  # another thread removed it
                self._doubtful.remove(batch)


def _run(client: Redis, batch: _Batch, state: str) -> None:
    keys, arguments = batch.arguments(state)
    client.eval(BATCH, len(keys), *keys, *arguments)


def _hash(key: str, month: str, prefix: str = PREFIX) -> str:
    return f"{prefix}:{month}:{key}"


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
        pipeline.hgetall(_hash(name, month, prefix))
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
