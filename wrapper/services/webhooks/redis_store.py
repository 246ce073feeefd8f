"""The Redis store: deliveries that several gateways share."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from wrapper.services.redis_client import RedisClient, scan
from wrapper.services.webhooks.event import Delivery
from wrapper.services.webhooks.redis_scripts import ADD, CLAIM, DUE, RECORD
from wrapper.services.webhooks.store import KEEP_SECONDS, MOST_OF_RECIPIENT

if TYPE_CHECKING:
    from redis import Redis

PREFIX = "claude-code-gateway:webhooks"
EVENT, DUE_OF = f"{PREFIX}:event:", f"{PREFIX}:due:"
RECIPIENTS, ALL, OF = f"{PREFIX}:recipients", f"{PREFIX}:all", f"{PREFIX}:of:"
NAMES = tuple(row.name for row in fields(Delivery))


class RedisDeliveryStore:
    """A DeliveryStore in the Redis at *url*: a hash for each delivery, and sorted sets of ids."""

    def __init__(self, url: str, most: int = MOST_OF_RECIPIENT):
        self._redis = RedisClient(url, "REDIS_URL")
        self._most = most

    def add(self, deliveries: Sequence[Delivery], oldest: float) -> None:
        bounds = (oldest, self._most, int(KEEP_SECONDS))
        with self._redis.reached() as client:
            for each in deliveries:
                due, of = f"{DUE_OF}{each.recipient}", f"{OF}{each.recipient}"
                keys = (f"{EVENT}{each.id}", due, RECIPIENTS, of, ALL)
                values = (each.id, each.recipient, each.created, *bounds, *_fields(each))
                client.eval(ADD, len(keys), *keys, *map(str, values))

    def due(self) -> dict[str, float]:
        with self._redis.reached() as client:
            reply: Any = client.eval(DUE, 1, RECIPIENTS, DUE_OF)
        return {name: float(due) for name, due in zip(reply[::2], reply[1::2], strict=True)}

    def claim(self, recipient: str, now: float, until: float, limit: int) -> list[Delivery]:
        values = (str(now), str(until), uuid.uuid4().hex, str(limit), EVENT)
        with self._redis.reached() as client:
            reply: Any = client.eval(CLAIM, 1, f"{DUE_OF}{recipient}", *values)
        return [_delivery(dict(zip(row[::2], row[1::2], strict=True))) for row in reply]

    def record(self, delivery: Delivery) -> None:
        keys = (f"{EVENT}{delivery.id}", f"{DUE_OF}{delivery.recipient}")
        due = "" if delivery.due is None else str(delivery.due)
        recorded = _fields(replace(delivery, lease=""))
        with self._redis.reached() as client:
            client.eval(RECORD, 2, *keys, delivery.id, delivery.lease, due, *recorded)

    def find(self, recipient: str | None, after: str, limit: int) -> list[Delivery]:
        ids = ALL if recipient is None else f"{OF}{recipient}"
        with self._redis.reached() as client:
            rank: Any = client.zrevrank(ids, after) if after else -1
            if rank is None:
                raise KeyError(after)
            pipeline = client.pipeline()
            page: Any = client.zrevrange(ids, rank + 1, rank + limit)
            for id_ in page:
                pipeline.hgetall(f"{EVENT}{id_}")
            return [_delivery(row) for row in pipeline.execute() if row]

    def delete_all(self, recipient: str) -> int:
        deleted = 0
        with self._redis.reached() as client:
            # No index has those that were too many.
            for keys in scan(client, EVENT):
                if owned := _sent_to(client, keys, recipient):
                    deleted += int(client.unlink(*owned))
                    client.zrem(ALL, *(key.removeprefix(EVENT) for key in owned))
            client.unlink(f"{DUE_OF}{recipient}", f"{OF}{recipient}")
            client.srem(RECIPIENTS, recipient)
        return deleted

    def close(self) -> None:
        self._redis.close()


def _sent_to(client: Redis, keys: Sequence[str], recipient: str) -> list[str]:
    """Return those *keys* whose deliveries go to *recipient*."""
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        pipeline.hget(key, "recipient")
    recipients = zip(keys, pipeline.execute(), strict=True)
    return [key for key, of in recipients if of == recipient]


def _fields(delivery: Delivery) -> list[str]:
    """Return the names and values of a hash, in which None is the empty text."""
    pairs = vars(delivery).items()
    return [str(part) for name, value in pairs for part in (name, "" if value is None else value)]


def _delivery(row: Mapping[str, str]) -> Delivery:
    values: dict[str, Any] = {name: row[name] for name in NAMES}
    numbers = {
        "created": float(row["created"]),
        "attempts": int(row["attempts"]),
        "due": float(row["due"]) if row["due"] else None,
        "last_status": int(row["last_status"]) if row["last_status"] else None,
        "last_error": row["last_error"] or None,
    }
    return Delivery(**{**values, **numbers})
