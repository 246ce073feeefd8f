"""The deletion of a key's data: its order, its wait for turns, and its failures."""

from __future__ import annotations

import pytest

from wrapper.errors import StorageFull, Unavailable
from wrapper.services.key_data import ENDING_SECONDS, QUIET_SECONDS, KeyData
from wrapper.services.principal import Principal

EVE = Principal("eve", admin=True)


class Stores:
    """Stores and turns of alice's, which note what is deleted, with a clock that sleeping moves."""

    def __init__(self, running=()):
        self.now = 0.0
        self.done = []
        self.failing = {}
        self.running = [*running]

    def deleting(self, kind):
        def delete(key):
            if error := self.failing.get(kind):
                raise error
            self.done.append((kind, key))
            return 1

        return delete

    def stop_turns(self, key, by):
        assert (key, by) == ("alice", EVE)
        self.done.append(("turns", key))
        return self.running.pop(0) if self.running else 0

    def sleep(self, seconds):
        self.now += seconds

    def key_data(self):
        jobs = {"batches": self.deleting("batches")}
        stores = {kind: self.deleting(kind) for kind in ("files", "sessions")}
        return KeyData(jobs, self.stop_turns, stores, clock=lambda: self.now, sleep=self.sleep)

    def order(self):
        return [*dict.fromkeys(kind for kind, _ in self.done)]


def test_order():
    """Jobs go first, then turns end, and then the rest is deleted."""
    stores = Stores([2, 1])
    deletion = stores.key_data().delete("alice", EVE)
    assert deletion.deleted == {"batches": 1, "turns": 2, "files": 1, "sessions": 1}
    assert stores.order() == ["batches", "turns", "files", "sessions"]
    assert QUIET_SECONDS < stores.now < QUIET_SECONDS + 1
    deletion.check()


def test_turns_that_come_again():
    """The wait begins anew with each turn that is seen."""
    stores = Stores([1, 0, 0, 0, 1])
    assert stores.key_data().delete("alice", EVE).deleted["turns"] == 1
    assert stores.now >= QUIET_SECONDS + 1


def test_turns_that_do_not_end():
    """Turns that do not end are reported as left, and the rest is deleted."""
    stores = Stores([1] * 1000)
    deletion = stores.key_data().delete("alice", EVE)
    assert deletion.left == {"turns": "1 do not end; what they store may stay."}
    assert deletion.deleted == {"batches": 1, "files": 1, "sessions": 1}
    assert ENDING_SECONDS <= stores.now < ENDING_SECONDS + 1
    with pytest.raises(Unavailable, match="turns: 1 do not end"):
        deletion.check()


@pytest.mark.parametrize("kind", ["batches", "files", "sessions"])
@pytest.mark.parametrize("error", [Unavailable("Away."), StorageFull("Full.")])
def test_failures(kind, error):
    """A store that fails hinders no other, is reported, and is deleted the next time."""
    stores = Stores()
    stores.failing[kind] = error
    key_data = stores.key_data()
    deletion = key_data.delete("alice", EVE)
    assert deletion.left == {kind: error.message}
    assert len(deletion.deleted) == 3
    stores.failing.clear()
    assert not key_data.delete("alice", EVE).left


def test_mistakes():
    """A mistake in the gateway is no failure of a store, and is raised."""
    stores = Stores()
    stores.failing["files"] = KeyError("files")
    with pytest.raises(KeyError):
        stores.key_data().delete("alice", EVE)
