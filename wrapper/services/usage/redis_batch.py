"""Batches of usage rows, which Redis adds whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wrapper.services.usage.store import NAMES, Row

if TYPE_CHECKING:
    from redis import Redis

PREFIX = "claude-code-gateway:usage"
USERS = f"{PREFIX}:users"
# Seconds to keep a batch's mark: longer than Redis should be out of reach.
MARK = 86400
# Seconds to keep what users have spent in a month, and what was announced: two months.
MONTHS = 62 * 86400

# KEYS: the batch's mark, the set of keys, the set of months, then the hashes. ARGV: "booked" or
# "void", the mark's time to live, then for each hash a key, a month, and its time to live or "";
# then for each increment the number of its hash, its field and the increment. MULTI would leave
# half a batch where an increment is refused, and could not void a batch that is still on its way.
BATCH = """
local was = redis.call('GET', KEYS[1])
if ARGV[1] == 'booked' and was then return 0 end
if ARGV[1] == 'void' and was ~= 'booked' then
    redis.call('SET', KEYS[1], 'void', 'EX', ARGV[2])
    return 0
end
local at = 3
local lives = {}
for number = 4, #KEYS do
    redis.call('SADD', KEYS[2], ARGV[at])
    redis.call('SADD', KEYS[3], ARGV[at + 1])
    lives[number] = ARGV[at + 2]
    at = at + 3
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
for number = 4, #KEYS do
    if lives[number] ~= '' then redis.call('EXPIRE', KEYS[number], lives[number]) end
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
"""


@dataclass(frozen=True)
class Batch:
    """Rows that are added together, and the id under which Redis marks them as added."""

    id: str
    rows: tuple[Row, ...]

    def arguments(self, state: str) -> tuple[list[str], list[str]]:
        """Return the script's KEYS and ARGV. Voiding a batch books its negative."""
        sign = -1 if state == "void" else 1
        hashes: dict[tuple[str, str, str], int] = {}
        changes: list[str] = []
        for row in self.rows:
            kind = USERS if row.user else PREFIX
            number = hashes.setdefault((row.key, row.day[:7], kind), len(hashes) + 4)
            for field, value in _fields(row):
                changes += [str(number), field, str(sign * value)]
        keys = [f"{PREFIX}:batch:{self.id}", f"{PREFIX}:keys", f"{PREFIX}:months"]
        keys += [hash_name(*each) for each in hashes]
        known: list[str] = []
        for key, month, kind in hashes:
            known += [key, month, str(MONTHS) if kind == USERS else ""]
        return keys, [state, str(MARK), *known, *changes]

    def run(self, client: Redis, state: str) -> None:
        """Make the batch "booked" or "void"."""
        keys, arguments = self.arguments(state)
        client.eval(BATCH, len(keys), *keys, *arguments)


def hash_name(key: str, month: str, prefix: str = PREFIX) -> str:
    return f"{prefix}:{month}:{key}"


def _fields(row: Row) -> Iterator[tuple[str, int]]:
    """Yield the fields of the month's hash that *row* changes, and by how much."""
    day = row.day[8:]
    if row.user:
        yield f"{day}:{row.user}", row.amounts.charged
        return
    for name, value in zip(NAMES, row.amounts.values(), strict=True):
        if value:
            yield f"{day}:{name}:{row.model}", value
