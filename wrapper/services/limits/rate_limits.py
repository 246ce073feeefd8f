"""Rate limits: how many requests and tokens a key, or a user below it, may use in a minute."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.errors import ConfigurationError, StorageError
from limits.storage import MemoryStorage, RedisStorage, Storage
from limits.strategies import FixedWindowRateLimiter

from wrapper.errors import RateLimited, Unavailable
from wrapper.notes import NO_NOTES, Notes, RateState
from wrapper.services.principal import LimitHolder, Principal
from wrapper.settings import Settings, SettingsError

STORE_SECONDS = 2
# A key with few turns a minute may still read its models, sessions and usage.
LEAST_READS = 60
# An address may sign in so often a minute. It may be that of a whole office.
SIGN_INS = RateLimitItemPerMinute(30)
SIGN_IN_PAUSE = 60
NAMES = {"requests": "requests", "tokens": "tokens", "reads": "requests without a turn"}

log = logging.getLogger(__name__)


class RateLimits:
    """Counts in windows of a minute. A window begins with the holder's first request in it.

    Tokens are counted once they are used, so only the turns that are running can exceed a limit.
    While the store cannot be reached, requests pass, unless it is *required*.
    """

    def __init__(self, store: Storage, *, required: bool, clock: Callable[[], float] = time.time):
        self._limiter = FixedWindowRateLimiter(store)
        self._required = required
        self._clock = clock

    def admit(self, holder: LimitHolder) -> None:
        """Count a request for turns. Raises RateLimited at a limit, or Unavailable."""
        if not (limits := [*_limits(holder)]):
            return
        with self._reached(self._required):
            for what, limit in limits:
                taken = self._limiter.hit if what == "requests" else self._limiter.test
                if not taken(limit, what, *_names(holder)):
                    raise self._refusal(what, limit, holder)

    def read(self, principal: Principal) -> None:
        """Count a request that runs no turn, in a separate window. Raises RateLimited."""
        if (most := principal.requests_per_minute) is None:
            return
        limit = RateLimitItemPerMinute(max(most, LEAST_READS))
        with self._reached(required=False):
            if not self._limiter.hit(limit, "reads", principal.name):
                raise self._refusal("reads", limit, principal)

    def sign_in(self, address: str) -> None:
        """Count an attempt to sign in from *address*. Raises RateLimited."""
        with self._reached(required=False):
            if not self._limiter.hit(SIGN_INS, "sign-ins", address):
                raise RateLimited(
                    f"Your address has tried to sign in {SIGN_INS.amount} times within a minute; "
                    f"try again in {SIGN_IN_PAUSE} s.",
                    retry_after=SIGN_IN_PAUSE,
                )

    def spend(self, holder: LimitHolder, tokens: int) -> None:
        """Count *tokens* that were used. Raises Unavailable."""
        with self._reached(self._required, retry=False):
            for what, limit in _limits(holder):
                if what == "tokens" and tokens > 0:
                    self._limiter.hit(limit, what, *_names(holder), cost=tokens)

    def notes(self, *holders: LimitHolder) -> Notes:
        """Return the state of the rates that *holders* have, as far as it is known.

        Of two for the same thing it is the one of which less remains.
        """
        limits = [(holder, *limit) for holder in holders for limit in _limits(holder)]
        if not limits:
            return NO_NOTES
        rates: dict[str, RateState] = {}
        with self._reached(required=False):
            for holder, what, limit in limits:
                state = RateState(what, limit.amount, *self._state(what, limit, holder))
                if what not in rates or state.remains < rates[what].remains:
                    rates[what] = state
        return Notes(rates=tuple(rates.values())) if rates else NO_NOTES

    def _state(self, what: str, limit: RateLimitItem, holder: LimitHolder) -> tuple[int, int]:
        """Return what is left in the window, and the seconds until the window ends."""
        window = self._limiter.get_window_stats(limit, what, *_names(holder))
        return window.remaining, max(0, math.ceil(window.reset_time - self._clock()))

    def _refusal(self, what: str, limit: RateLimitItem, holder: LimitHolder) -> RateLimited:
        seconds = max(1, self._state(what, limit, holder)[1])
        label = holder.label[0].upper() + holder.label[1:]
        return RateLimited(
            f"{label} may use {limit.amount} {NAMES[what]} a minute, and has; "
            f"try again in {seconds} s.",
            retry_after=seconds,
            notes=self.notes(holder),
        )

    @contextlib.contextmanager
    def _reached(self, required: bool, retry: bool | None = None) -> Iterator[None]:
        """Log that the store cannot be reached, and raise Unavailable where it is *required*."""
        try:
            yield
        except StorageError as error:
            why = error.storage_error
            log.error("rates are not limited: their store (REDIS_URL) cannot be reached: %s", why)
            if required:
                raise Unavailable(
                    "Rates cannot be counted, and USAGE_REQUIRED is set; try again later.",
                    retry=retry,
                ) from None


def open_rates(settings: Settings) -> RateLimits:
    """Return rate limits that count in Redis where it is set, else in memory.

    Raises SettingsError where the package for Redis is missing or the URL is invalid.
    """
    try:
        store = _redis(settings.redis_url) if settings.redis_url else MemoryStorage()
    except (ConfigurationError, ValueError) as error:
        raise SettingsError([f"REDIS_URL: {error}"]) from None
    return RateLimits(store, required=settings.usage_required)


def _redis(url: str) -> Storage:
    return RedisStorage(
        url,
        wrap_exceptions=True,
        key_prefix="claude-gateway:rates",
        socket_timeout=STORE_SECONDS,
        socket_connect_timeout=STORE_SECONDS,
    )


def _names(holder: LimitHolder) -> tuple[str, ...]:
    return (holder.name, holder.user) if holder.user else (holder.name,)


def _limits(holder: LimitHolder) -> Iterator[tuple[str, RateLimitItem]]:
    """Yield the holder's limits. Tokens come first: they are only tested, and requests counted."""
    if holder.tokens_per_minute is not None:
        yield "tokens", RateLimitItemPerMinute(holder.tokens_per_minute)
    if holder.requests_per_minute is not None:
        yield "requests", RateLimitItemPerMinute(holder.requests_per_minute)
