"""Rate limits: requests and tokens a minute, for each caller."""

from types import SimpleNamespace

import pytest
from limits.storage import MemoryStorage

from tests.support.clock import Clock
from wrapper.errors import RateLimited, Unavailable
from wrapper.routes.headers import error_headers, note_headers
from wrapper.services.limits.rate_limits import RateLimits, open_rates
from wrapper.services.principal import EndUser, Principal
from wrapper.settings import Settings, SettingsError

pytestmark = pytest.mark.packages

NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def clock(monkeypatch):
    """The clock of the limits library and of the gateway."""
    clock = Clock(1_000_000.0)
    monkeypatch.setattr("limits.storage.memory.time", SimpleNamespace(time=clock))
    return clock


@pytest.fixture
def rates(clock):
    return RateLimits(MemoryStorage(), required=False, clock=clock)


def test_no_limit(rates):
    """A caller without limits is never refused and gets no headers."""
    for _ in range(1000):
        rates.admit(Principal("alice"))
    rates.spend(Principal("alice"), 10**9)
    assert note_headers(rates.notes(Principal("alice"))) == {}


def test_requests(rates, clock):
    """Requests over the limit are refused until the minute is over, with Retry-After."""
    alice = Principal("alice", requests_per_minute=3)
    for left in (2, 1, 0):
        rates.admit(alice)
        assert note_headers(rates.notes(alice)) == {
            "x-ratelimit-limit-requests": "3",
            "x-ratelimit-remaining-requests": str(left),
            "x-ratelimit-reset-requests": "60s",
        }
    clock.now += 12.5
    with pytest.raises(RateLimited) as caught:
        rates.admit(alice)
    assert error_headers(caught.value)["Retry-After"] == "48"
    assert error_headers(caught.value)["x-ratelimit-remaining-requests"] == "0"
    assert "'alice' may use 3 requests a minute" in caught.value.message
    clock.now += 48
    rates.admit(alice)
    assert note_headers(rates.notes(alice))["x-ratelimit-remaining-requests"] == "2"


def test_tokens(rates, clock):
    """Tokens count once they are used; over the limit nothing runs until the minute is over."""
    alice = Principal("alice", tokens_per_minute=100)
    rates.admit(alice)
    rates.spend(alice, 99)
    rates.admit(alice)
    rates.spend(alice, 500)
    assert note_headers(rates.notes(alice))["x-ratelimit-remaining-tokens"] == "0"
    with pytest.raises(RateLimited, match="100 tokens a minute"):
        rates.admit(alice)
    clock.now += 61
    rates.admit(alice)
    assert note_headers(rates.notes(alice))["x-ratelimit-remaining-tokens"] == "100"


def test_refused_tokens_cost_no_request(rates):
    """A request that is refused for tokens does not count as a request."""
    alice = Principal("alice", tokens_per_minute=1, requests_per_minute=2)
    rates.spend(alice, 1)
    with pytest.raises(RateLimited):
        rates.admit(alice)
    assert note_headers(rates.notes(alice))["x-ratelimit-remaining-requests"] == "2"


def test_callers_are_apart(rates):
    """The limits of one caller do not affect another."""
    alice, bob = (Principal(name, requests_per_minute=1) for name in ("alice", "bob"))
    rates.admit(alice)
    rates.admit(bob)
    with pytest.raises(RateLimited):
        rates.admit(alice)


@pytest.mark.parametrize("required", [False, True])
def test_store_away(caplog, required):
    """While the store is away, requests pass with an error in the log, or are a 503 if required."""
    rates = open_rates(Settings(redis_url=NOWHERE, usage_required=required))
    alice = Principal("alice", requests_per_minute=1, tokens_per_minute=1)
    for ask, retry in ((rates.admit, {}), (lambda p: rates.spend(p, 5), "false")):
        caplog.clear()
        if required:
            with pytest.raises(Unavailable, match="USAGE_REQUIRED") as caught:
                ask(alice)
            assert error_headers(caught.value) == (retry and {"x-should-retry": retry})
        else:
            ask(alice)
        assert "REDIS_URL" in caplog.text
    assert note_headers(rates.notes(alice)) == {}
    rates.admit(Principal("bob"))  # a caller without limits does not use the store


@pytest.mark.parametrize("url", ["nonsense", "http://127.0.0.1", "redis://127.0.0.1:port"])
def test_wrong_url(url):
    """An invalid URL raises SettingsError."""
    with pytest.raises(SettingsError, match="REDIS_URL"):
        open_rates(Settings(redis_url=url))


def test_users_of_a_key(rates):
    """Each user below a key has rates of their own, and is told which one is used up."""
    shop = Principal("shop", user_requests_per_minute=1, user_tokens_per_minute=50)
    ann, ben, unnamed = (EndUser.named(shop, name) for name in ("ann", "ben", ""))
    for user in (ann, ben, unnamed):
        rates.admit(user)
    with pytest.raises(RateLimited) as caught:
        rates.admit(ann)
    assert caught.value.message == (
        "The request's user (of the key 'shop') may use 1 requests a minute, and has; "
        "try again in 60 s."
    )
    with pytest.raises(RateLimited, match=r"Users whom requests do not name .* may use 1 requests"):
        rates.admit(unnamed)
    rates.spend(ben, 50)
    with pytest.raises(RateLimited, match="may use 50 tokens"):
        rates.admit(ben)


def test_the_tighter_rate_is_told(rates):
    """Of a key's rate and its user's, headers have the one of which less remains."""
    shop = Principal("shop", requests_per_minute=9, user_requests_per_minute=2)
    ann = EndUser.named(shop, "ann")
    for holder in (shop, ann):
        rates.admit(holder)
    assert note_headers(rates.notes(shop, ann))["x-ratelimit-limit-requests"] == "2"
    for _ in range(8):
        rates.admit(shop)
    assert note_headers(rates.notes(shop, ann))["x-ratelimit-remaining-requests"] == "0"
