"""The dispatcher: what it attempts when, and what becomes of it. Its clock is the test's."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.webhooks import SECRET, DispatcherHarness
from wrapper.services.principal import Principal
from wrapper.services.store_health import StoreFailed
from wrapper.services.webhooks import dispatcher as dispatchers
from wrapper.services.webhooks.attempt import (
    GIVE_UP_SECONDS,
    LONGEST_DELAY,
    MOST_ATTEMPTS,
    NO_ENDPOINT,
    Result,
    delay,
)
from wrapper.services.webhooks.dispatcher import (
    LEASE_SECONDS,
    MAX_WAITING,
    MOST_OF_HOST,
    POLL_SECONDS,
)
from wrapper.services.webhooks.endpoint import Endpoints
from wrapper.services.webhooks.sqlite_store import SqliteDeliveryStore
from wrapper.settings import Settings

HOSTS = {"alice": "https://alice.example/hook", "bob": "https://bob.example/hook"}


class Keys:
    """The keys of *urls*, which a test may change."""

    def __init__(self, urls):
        self.urls = urls

    def named(self, name):
        url = self.urls.get(name)
        return (Principal(name, webhook_url=url, webhook_secret=SECRET), "") if url else None

    def principals(self):
        return [principal for name in self.urls if (principal := self.named(name)[0])]


@pytest.fixture
def keys():
    return Keys(dict(HOSTS))


@pytest.fixture
def make(tmp_path, keys):
    """Return a function that makes the dispatcher of another worker."""
    stores = []

    def make_another():
        stores.append(SqliteDeliveryStore(str(tmp_path / "usage.db")))
        return DispatcherHarness(stores[-1], Endpoints(Settings(), keys))

    yield make_another
    for store in stores:
        store.close()


@pytest.fixture
def store(tmp_path):
    opened = SqliteDeliveryStore(str(tmp_path / "usage.db"))
    yield opened
    opened.close()


def only(store):
    (delivery,) = store.find(None, "", 10)
    return delivery


def test_delivered_once(make, store):
    """Several workers that announce the same occurrence deliver one event."""

    async def main():
        first, second = make(), make()
        for worker in (first, second, first):
            worker.announce("a")
            await worker.step()
            await worker.step()
        assert len(first.sent + second.sent) == 1
        assert first.counted == [("response.completed", "delivered")]

    asyncio.run(main())
    delivery = only(store)
    assert (delivery.status, delivery.attempts, delivery.last_status) == ("delivered", 1, 200)
    assert (delivery.due, delivery.body, delivery.last_error) == (None, "", None)


def test_fails_twice(make, store):
    """What a receiver refuses is sent again, later each time, until it is accepted."""

    async def main():
        worker = make()
        worker.results = [Result(503), Result(error="it closed the connection")]
        worker.announce("a")
        await worker.step()
        assert await worker.step() == 1.0
        assert len(worker.sent) == 1
        assert (only(store).last_status, only(store).last_error) == (503, "it answered with 503")
        worker.now += 1.0
        await worker.step()
        assert await worker.step() == 2.0
        assert (only(store).last_status, only(store).attempts) == (None, 2)
        assert only(store).last_error == "it closed the connection"
        worker.now += 2.0
        await worker.step()
        await worker.step()
        assert len(worker.sent) == 3
        assert [outcome for _, outcome in worker.counted] == ["retried", "retried", "delivered"]

    asyncio.run(main())
    assert only(store).status == "delivered"


def test_given_up(make, store):
    """After some days, and so many attempts, an event is given up."""

    async def main():
        worker = make()
        worker.results = [Result(500)] * MOST_ATTEMPTS
        (made,) = worker.announce("a")
        await worker.step()
        while (due := only(store).due) is not None:
            worker.now = max(worker.now, due)
            await worker.step()
            await worker.step()
        assert worker.now <= made.created + GIVE_UP_SECONDS
        assert 20 <= len(worker.sent) <= MOST_ATTEMPTS

    asyncio.run(main())
    assert (only(store).status, only(store).last_status) == ("failed", 500)


@pytest.mark.parametrize(("attempts", "most"), [(1, 1.0), (2, 2.0), (8, 128.0), (99, 21600.0)])
def test_delays(attempts, most):
    """Delays double up to the longest one, and chance halves them at most."""
    assert (delay(attempts, 1.0), delay(attempts, 0.0)) == (most, most / 2)
    assert most <= LONGEST_DELAY


def test_a_worker_dies(make, store):
    """If a worker dies during an attempt, another one takes over, and not before."""

    async def main():
        dying, other = make(), make()
        dying.gate.clear()
        dying.announce("a")
        await dying.step()
        await other.step()
        assert len(dying.sent) == 1
        assert not other.sent
        other.now += LEASE_SECONDS
        await other.step()
        await other.step()
        assert len(other.sent) == 1
        # The first one was only slow, and is refused late: that changes nothing.
        dying.results = [Result(500)]
        dying.gate.set()
        await dying.step()
        await dying.step()

    asyncio.run(main())
    assert (only(store).status, only(store).attempts) == ("delivered", 2)


def test_a_slow_host(make):
    """A host that does not answer holds up a few attempts of its own, and no other host's."""

    async def main():
        worker = make()
        worker.gate.clear()
        worker.announce(*map(str, range(20)))
        worker.announce("b", recipient="bob")
        await worker.step()
        urls = [url for url, _ in worker.sent]
        assert urls.count(HOSTS["alice"]) == MOST_OF_HOST
        assert urls.count(HOSTS["bob"]) == 1
        assert await worker.step() == POLL_SECONDS
        assert len(worker.sent) == MOST_OF_HOST + 1
        worker.gate.set()
        for _ in range(10):
            await worker.step()
        assert len(worker.sent) == 21

    asyncio.run(main())


def test_a_webhook_is_removed(make, keys, store):
    """Without its webhook, an event waits some days for a gateway that knows it."""

    async def main():
        worker = make()
        worker.announce("a")
        del keys.urls["alice"]
        assert await worker.step() == POLL_SECONDS
        assert (only(store).status, only(store).attempts) == ("pending", 0)
        worker.now += GIVE_UP_SECONDS
        await worker.step()
        await worker.step()
        assert not worker.sent

    asyncio.run(main())
    assert (only(store).status, only(store).last_error) == ("failed", NO_ENDPOINT)


def test_a_webhook_moves(make, keys):
    """What was announced before a webhook moved goes to its new URL."""

    async def main():
        worker = make()
        worker.announce("a")
        keys.urls["alice"] = "https://new.example/hook"
        await worker.step()
        assert [url for url, _ in worker.sent] == ["https://new.example/hook"]

    asyncio.run(main())


def test_shutdown(make, store, monkeypatch):
    """At shutdown an attempt may take a moment; then another worker may begin it at once."""
    monkeypatch.setattr(dispatchers, "CLOSE_SECONDS", 0.01)

    async def main():
        worker = make()
        worker.gate.clear()
        worker.announce("a")
        await worker.step()
        worker.announce("b")
        await worker.dispatcher.end()
        other = make()
        await other.step()
        assert len(other.sent) == 2

    asyncio.run(main())


def test_a_store_that_fails(make, monkeypatch):
    """While the store fails, events wait in memory, and one log line and the failure say why."""

    def fail(*_):
        raise StoreFailed("USAGE_DB: no disk")

    async def main():
        worker = make()
        worker.announce("a")
        with monkeypatch.context() as patch:
            patch.setattr(SqliteDeliveryStore, "add", fail)
            await worker.step()
            await worker.step()
            dispatcher = worker.dispatcher
            assert (dispatcher.failure, dispatcher.waiting) == ("USAGE_DB: no disk", 1)
        await worker.step()
        assert (dispatcher.failure, dispatcher.waiting) == ("", 0)
        assert len(worker.sent) == 1

    asyncio.run(main())


def test_an_attempt_that_raises(make, store):
    """An attempt that raises is a failed one."""

    async def main():
        worker = make()
        worker.results = [AttributeError("secret")]
        worker.announce("a")
        await worker.step()
        await worker.step()

    asyncio.run(main())
    assert only(store).last_error == "the gateway failed (AttributeError)"


def test_says_what_is_stored(make, store, monkeypatch):
    """Whoever announces learns once the store has all of it, and not while the store fails."""
    calls = []

    def stored():
        calls.append(len(store.find(None, "", 10)))

    def fail(*_):
        raise StoreFailed("full", "usage.db")

    async def main():
        worker = make()
        with monkeypatch.context() as patch:
            patch.setattr(SqliteDeliveryStore, "add", fail)
            for _ in range(2):
                worker.announce("a", "b", stored=stored)
                await worker.step()
        assert (worker.dispatcher.waiting, calls) == (2, [])
        await worker.step()

    asyncio.run(main())
    assert calls == [2]


def test_too_many_wait(make):
    """More events than memory should hold are dropped, and counted."""
    worker = make()
    worker.announce(*map(str, range(MAX_WAITING + 2)))
    assert worker.dispatcher.waiting == MAX_WAITING
    assert worker.counted == [("response.completed", "dropped")] * 2
    worker.announce("again", stored=lambda: pytest.fail("it is not stored"))
    assert worker.dispatcher.waiting == MAX_WAITING
    assert len(worker.counted) == 2
