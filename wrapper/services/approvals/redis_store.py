"""The Redis store: approvals that any worker or machine can decide."""

from __future__ import annotations

import contextlib
import itertools
import logging
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from wrapper.logs.redaction import Redacted
from wrapper.services.approvals.approval import Approval, Decision
from wrapper.services.approvals.codec import (
    decode_approval,
    decode_decision,
    encode_approval,
    encode_decision,
)
from wrapper.services.approvals.redis_scripts import ADD, DECIDE, KEEP, RENEW
from wrapper.services.approvals.redis_waiter import LOST, RedisWaiter
from wrapper.services.approvals.store import (
    KEPT_SECONDS,
    MOST_KEPT,
    MOST_KEPT_OF_KEY,
    Notify,
    Room,
)
from wrapper.services.redis_client import RedisClient, StoreRedis, scan

if TYPE_CHECKING:
    from redis import Redis

PREFIX = "claude-code-gateway:approvals"
# A worker renews the approvals that it waits for. Those of one that has died are gone after this.
HOLD_SECONDS = 15.0
# The names of the indexes of all approvals, and of an owner's.
PENDING = ("pending", "owner")
KEPT = ("kept", "kept-owner")

log = logging.getLogger(__name__)


class RedisApprovalStore:
    """Keeps as many pending approvals as there is *room* for, in the Redis at *url*.

    That is the value of *setting*.
    """

    def __init__(
        self,
        url: str,
        setting: str,
        room: Room,
        *,
        hold: float = HOLD_SECONDS,
        prefix: str = PREFIX,
    ):
        client = RedisClient(url, setting, decode=False)
        self._redis = StoreRedis(client, "approvals")
        self._room = room
        self._hold = _milliseconds(hold)
        self._prefix = prefix
        self._waiter = RedisWaiter(client, self._renew, prefix=prefix, hold=hold)

    def add(self, approval: Approval, notify: Notify) -> None:
        self._waiter.add(approval, notify)
        try:
            with self._redis.reached() as client:
                room = self._room
                arguments = (self._hold, room.most, room.most_of_key, encode_approval(approval))
                counts: Any = client.eval(
                    ADD, 3, *self._keys(approval), approval.id, *arguments, self._waiter.inbox
                )
            waiting, own, added = counts
            if not added:
                room.check(waiting, own)
        except BaseException:
            self._waiter.forget(approval.id)
            raise

    def decide(self, id_: str, decision: Decision) -> Approval | None:
        approval = self.read(id_)
        if approval is None or approval.decision:
            return approval
        sent = encode_decision(decision, uuid.uuid4().hex)
        with self._redis.reached() as client:
            kept: Any = client.eval(
                DECIDE,
                4,
                *self._keys(approval),
                self._index(None, KEPT),
                id_,
                sent,
                _milliseconds(KEPT_SECONDS),
            )
        if kept is None:
            return None
        return replace(approval, decision=decision if kept == sent else decode_decision(kept))

    def read(self, id_: str) -> Approval | None:
        with self._redis.reached() as client:
            fields: Any = client.hmget(self._hash(id_), ["approval", "decision"])
        return _load(*fields)

    def pending(self, owner: str | None) -> Sequence[Approval]:
        listed = self._list(self._index(owner), self._index(owner, KEPT))
        return [approval for approval in listed if approval.decision is None]

    def keep(self, approval: Approval, seconds: float) -> None:
        keys = self._hash(approval.id), *self._kept_indexes(approval)
        sent = approval.id, encode_approval(approval), self._hash("")
        undecided = _milliseconds(approval.expires - approval.created), MOST_KEPT
        of_owner = _milliseconds(seconds), MOST_KEPT_OF_KEY
        with self._redis.reached() as client:
            client.eval(KEEP, 3, *keys, *sent, *undecided, *of_owner)

    def kept(self, owner: str) -> Sequence[Approval]:
        return self._list(self._index(owner, KEPT))

    def remove(self, approvals: Iterable[Approval]) -> None:
        with self._redis.reached() as client:
            pipeline = client.pipeline(transaction=False)
            for approval in approvals:
                hash_, *indexes = self._keys(approval)
                pipeline.delete(hash_)
                for index in (*indexes, *self._kept_indexes(approval)):
                    pipeline.zrem(index, approval.id)
            pipeline.execute()

    def delete_all(self, owner: str) -> int:
        with self._redis.reached() as client:  # no index has those that are decided
            owned = [each for each in self._all(client) if each.asker.owner == owner]
        self.remove(owned)
        return len(owned)

    def forget(self, id_: str) -> None:
        self._waiter.forget(id_)

    def close(self) -> None:
        self._waiter.close()
        self._redis.close()

    def _renew(
        self, client: Redis, approvals: Sequence[Approval]
    ) -> Iterator[tuple[Approval, Decision]]:
        """Renew *approvals*, and yield the decisions of those that are decided or lost."""
        pipeline = client.pipeline(transaction=False)
        for approval in approvals:
            pipeline.eval(RENEW, 3, *self._keys(approval), approval.id, self._hold)
        for approval, reply in zip(approvals, pipeline.execute(), strict=True):
            if not reply:
                yield approval, LOST
            elif isinstance(reply, bytes):
                with contextlib.suppress(ValueError, TypeError):  # the approval then expires
                    yield approval, decode_decision(reply)

    def _all(self, client: Redis) -> Iterator[Approval]:
        for keys in scan(client, self._hash("")):
            pipeline = client.pipeline(transaction=False)
            for key in keys:
                pipeline.hmget(key, ["approval", "decision"])
            yield from filter(None, (_load(*fields) for fields in pipeline.execute()))

    def _list(self, *indexes: str) -> list[Approval]:
        """Return the approvals of *indexes*, the oldest first."""
        with self._redis.reached() as client:
            pipeline = client.pipeline(transaction=False)
            for index in indexes:
                pipeline.zrange(index, 0, -1)
            for id_ in itertools.chain(*pipeline.execute()):
                pipeline.hmget(self._hash(id_.decode()), ["approval", "decision"])
            approvals = [_load(*fields) for fields in pipeline.execute()]
        return sorted(filter(None, approvals), key=lambda approval: approval.created)

    def _keys(self, approval: Approval) -> tuple[str, str, str]:
        owner = approval.asker.owner
        return self._hash(approval.id), self._index(None), self._index(owner)

    def _kept_indexes(self, approval: Approval) -> tuple[str, str]:
        return self._index(None, KEPT), self._index(approval.asker.owner, KEPT)

    def _hash(self, id_: str) -> str:
        return f"{self._prefix}:approval:{quote(id_, safe='', errors='surrogatepass')}"

    def _index(self, owner: str | None, names: tuple[str, str] = PENDING) -> str:
        if owner is None:
            return f"{self._prefix}:{names[0]}"
        return f"{self._prefix}:{names[1]}:{quote(owner, safe='', errors='surrogatepass')}"


def _load(approval: bytes | None, decision: bytes | None) -> Approval | None:
    """Return an approval from its fields, None if there is none or it cannot be read."""
    if approval is None:
        return None
    try:
        made = decode_decision(decision) if decision else None
        return replace(decode_approval(approval), decision=made)
    except (ValueError, TypeError) as error:
        log.error("an approval in Redis cannot be read: %s", Redacted(error))
        return None


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))
