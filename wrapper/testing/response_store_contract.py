"""The contract that every response store must fulfil."""

# ruff: noqa: S101 - these checks are assertions

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from wrapper.services.responses.store import ResponseStore

# The lifetimes of responses in the checks without and with expiry.
LONG = 3600.0
SHORT = 2.0
VALUES = (b"", b"\x00\n\xff{", b"value", bytes(range(256)) * 4)
OWNERS = (
    *("a", "A", "a:b", "a b", "*", "%2F", "{a}", "ü", "🙂", "x" * 128),
    *("'\"`;--", "..", "\u2028", "null"),
)


@dataclass
class _Trial:
    """A store under test, with an owner of its own."""

    store: ResponseStore
    advance: Callable[[float], object]
    owner: str

    def keep(self, value: bytes = b"value", owner: str = "") -> str:
        """Store *value*, and return its id."""
        id_ = f"resp_{uuid.uuid4().hex}"
        kept = self.store.put(owner or self.owner, id_, value)
        assert kept, f"a value of {len(value)} bytes must be kept"
        return id_

    def read(self, *ids: str) -> list[bytes | None]:
        return list(self.store.read(self.owner, ids))


def check_response_store(
    make: Callable[[float], ResponseStore], advance: Callable[[float], object] | None = None
) -> None:
    """Raise AssertionError if stores that *make* returns do not fulfil ResponseStore's contract.

    `make(ttl)` opens a store whose responses live *ttl* seconds from their last use, with room for
    8 MiB. Responses of other owners in it are left alone. `advance(seconds)` moves the store's
    clock; without it, the check waits, and takes some ten seconds.
    """
    for ttl, checks in ((LONG, CHECKS), (SHORT, TIMED)):
        for check in checks:
            store = make(ttl)
            try:
                wait = advance or threading.Event().wait
                check(_Trial(store, wait, f"owner-{uuid.uuid4().hex}"))
            finally:
                store.close()


def _check_nothing(trial: _Trial) -> None:
    id_ = f"resp_{'0' * 32}"
    assert trial.read(id_, id_) == [None, None], "what is not there must be read as None"
    assert trial.store.delete(trial.owner, id_) is False, "what is not there is not deleted"
    trial.store.touch(trial.owner, [id_])
    assert trial.read(id_) == [None], "touching must not make a response"
    assert trial.store.health()["status"] == "ok", "a working store must have the status ok"


def _check_kept(trial: _Trial) -> None:
    ids = [trial.keep(value) for value in VALUES]
    unknown = f"resp_{'0' * 32}"
    asked = [ids[2], unknown, ids[0], ids[3], ids[1], ids[2]]
    values = [VALUES[2], None, VALUES[0], VALUES[3], VALUES[1], VALUES[2]]
    assert trial.read(*asked) == values, "values must be read unchanged, in the order of the ids"
    assert trial.store.put(trial.owner, ids[0], b"later"), "a value must replace an earlier one"
    assert trial.read(ids[0]) == [b"later"], "the later value must be read"


def _check_deleted(trial: _Trial) -> None:
    ids = [trial.keep() for _ in range(3)]
    assert trial.store.delete(trial.owner, ids[1]) is True, "what is there must be deleted"
    assert trial.read(*ids) == [b"value", None, b"value"], "only that must be deleted"
    assert trial.store.delete(trial.owner, ids[1]) is False, "it must be deleted once"


def _check_listed(trial: _Trial) -> None:
    other = f"{trial.owner} other"
    ids = [trial.keep(str(number).encode()) for number in range(3)]
    trial.keep(owner=other)
    assert list(trial.store.ids(trial.owner)) == ids[::-1], "an owner's ids come, the last first"
    trial.read(ids[1])
    trial.store.touch(trial.owner, [ids[0], f"resp_{'0' * 32}"])
    by_use = [ids[0], ids[1], ids[2]]
    assert list(trial.store.ids(trial.owner)) == by_use, "reading and touching are uses"
    assert list(trial.store.peek(trial.owner, ids)) == [b"0", b"1", b"2"]
    assert list(trial.store.ids(trial.owner)) == by_use, "peeking is no use"
    trial.store.delete(trial.owner, ids[1])
    assert list(trial.store.ids(trial.owner)) == [ids[0], ids[2]], "what is deleted is not listed"
    assert list(trial.store.peek(trial.owner, [ids[1]])) == [None], "what is deleted has no value"


def _check_owners(trial: _Trial) -> None:
    owners = [f"{trial.owner}{owner}" for owner in OWNERS]
    id_ = f"resp_{uuid.uuid4().hex}"
    for owner in owners:
        assert list(trial.store.read(owner, [id_])) == [None], "owners must not see each other's"
        assert trial.store.delete(owner, id_) is False, "owners must not delete each other's"
        trial.store.put(owner, id_, owner.encode())
    for owner in owners:
        assert list(trial.store.read(owner, [id_])) == [owner.encode()], (
            f"{owner!r} must work as an owner"
        )


def _check_large(trial: _Trial) -> None:
    value = random.Random(7).randbytes(5 * 1024**2)  # noqa: S311 - no secret
    assert trial.read(trial.keep(value)) == [value], "a large value must be kept complete"


def _check_threads(trial: _Trial) -> None:
    def use(number: int) -> None:
        value = str(number).encode()
        ids = [trial.keep(value) for _ in range(10)]
        assert trial.read(*ids) == [value] * 10, "threads must not disturb each other"
        trial.store.touch(trial.owner, ids)
        assert all(trial.store.delete(trial.owner, id_) for id_ in ids)

    with ThreadPoolExecutor(8) as pool:
        for use_ in [pool.submit(use, number) for number in range(16)]:
            use_.result(60)


def _check_expiry(trial: _Trial) -> None:
    read, touched, unused = (trial.keep() for _ in range(3))
    for _ in range(2):
        trial.advance(0.6 * SHORT)
        assert trial.read(read) == [b"value"], "reading must restart a response's lifetime"
        trial.store.touch(trial.owner, [touched])
    trial.advance(0.6 * SHORT)
    values = trial.read(touched, unused)
    assert values == [b"value", None], (
        "touching must restart a response's lifetime, and what is not used must be gone after it"
    )
    assert trial.store.delete(trial.owner, unused) is False, "what is gone is not deleted"
    trial.advance(1.1 * SHORT)
    assert trial.read(read, touched) == [None, None], "a response must be gone after its lifetime"


CHECKS = (
    _check_nothing,
    _check_kept,
    _check_deleted,
    _check_listed,
    _check_owners,
    _check_large,
    _check_threads,
)
TIMED = (_check_expiry,)
