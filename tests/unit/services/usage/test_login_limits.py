"""What is kept and reported of the provider's limits, in each store."""

import pytest
from redis import Redis

from tests.support.clock import Clock
from wrapper.errors import Unavailable
from wrapper.services.events import LimitsReported
from wrapper.services.provider_limits import Overage, ProviderLimits, Window
from wrapper.services.store_health import StoreFailed
from wrapper.services.usage.login_limits import FORGET_SECONDS, LoginLimits
from wrapper.services.usage.redis_store import RedisUsageStore
from wrapper.services.usage.sqlite_store import SqliteUsageStore

NOW = 1796000000.0


@pytest.fixture(params=["sqlite", "redis"])
def store(request, tmp_path):
    if request.param == "redis":
        server = request.getfixturevalue("redis_server")
        with Redis.from_url(server.url) as client:
            client.flushall()
        opened: RedisUsageStore | SqliteUsageStore = RedisUsageStore(server.url)
    else:
        opened = SqliteUsageStore(str(tmp_path / "usage.db"))
    yield opened
    opened.close()


@pytest.fixture
def clock():
    return Clock(NOW)


@pytest.fixture
def limits(store, clock):
    return LoginLimits(store, clock)


def learn(limits, *windows, status="allowed", login="a", overage=None):
    limits.learn(LimitsReported(ProviderLimits(status, None, windows, overage), login))


def test_each_part_has_its_time(limits, clock):
    """A window that is not reported again keeps what was known, and since when."""
    learn(limits, Window("five_hour", "allowed", 0.1, int(NOW) + 9000))
    clock.now += 60
    learn(limits, Window("seven_day_opus", None, 0.5, int(NOW) + 90_000))
    (login,) = limits.report()
    assert login["status"] == "allowed"
    first, second = login["windows"]
    assert (first["name"], first["used"], first["model"]) == ("five_hour", 0.1, None)
    assert (second["name"], second["used"], second["model"]) == ("seven_day_opus", 0.5, "opus")
    assert first["learned_at"] < second["learned_at"] == login["learned_at"]


def test_nothing_is_estimated(limits, clock):
    """Once a window has been reset, its use is not known."""
    learn(
        limits,
        Window("five_hour", "rejected", 1.0, int(NOW) + 10),
        overage=Overage("allowed", None, True),
    )
    clock.now += 11
    (login,) = limits.report()
    (window,) = login["windows"]
    assert (window["status"], window["used"], window["resets_at"]) == (None, None, None)
    assert login["overage"]["in_use"] is True


def test_logins_apart(limits, clock):
    """Each login has its own limits, and one that is not heard of for a month is left out."""
    learn(limits, login="old")
    clock.now += FORGET_SECONDS
    learn(limits, Window("five_hour", used=0.2), login="a-b")
    learn(limits, Window("five_hour", used=0.3), login="c")
    assert [login["login"] for login in limits.report()] == ["a-b", "c"]


def test_a_store_that_fails(clock, caplog):
    """A failing store is logged when something is learned, and is a 503 when it is read."""

    class Failing:
        def put_limits(self, login, learned_at, facts):
            raise StoreFailed("the disk is full")

        def read_limits(self):
            raise StoreFailed("the disk is full")

    limits = LoginLimits(Failing(), clock)
    learn(limits)
    assert "not kept: the disk is full" in caplog.text
    with pytest.raises(Unavailable, match="the disk is full"):
        limits.report()
