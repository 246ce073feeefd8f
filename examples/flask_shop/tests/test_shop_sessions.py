"""The shop's session store: the contract, and restarts."""

from __future__ import annotations

from shop.sessions import ShopStore
from wrapper.testing import check_session_store
from wrapper.testing.trial import build_session


class Clock:
    """A clock that the test advances."""

    now = 1_700_000_000.0

    def advance(self, seconds):
        self.now += seconds


def test_contract():
    """The store fulfils the contract of session stores."""
    clock = Clock()
    check_session_store(lambda ttl: ShopStore(ttl, lambda: clock.now), clock.advance)


def test_restart(tmp_path):
    """Sessions survive a restart."""
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
