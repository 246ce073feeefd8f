"""The shop's store of sessions: what any store must be, and what a restart leaves."""

from __future__ import annotations

from shop.sessions import ShopStore
from wrapper.testing import check_session_store
from wrapper.testing.trial import build_session


class Clock:
    """Time that passes when the test says so."""

    now = 1_700_000_000.0

    def advance(self, seconds):
        self.now += seconds


def test_contract():
    """The gateway can rely on it."""
    clock = Clock()
    check_session_store(lambda ttl: ShopStore(ttl, lambda: clock.now), clock.advance)


def test_restart(tmp_path):
    """What was kept is there after a restart."""
    clock, file, session = Clock(), str(tmp_path / "shop.db"), build_session("ada")
    before = ShopStore(60, lambda: clock.now, file)
    claim = before.claim("ada", "one", 0)
    assert claim
    claim.save(session)
    before.close()
    after = ShopStore(60, lambda: clock.now, file)
    found = after.read("ada", "one")
    assert found
    assert found.messages == session.messages
    after.close()
