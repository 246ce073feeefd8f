"""The history of requests: what it keeps of each, for whom, and what it does without its store."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest

from tests.support.server import eventually
from tests.support.threads import no_thread
from wrapper.errors import InvalidRequest, Overloaded, PermissionDenied, Unavailable
from wrapper.services.principal import Principal
from wrapper.services.requests import history as history_module
from wrapper.services.requests.history import BATCH, DAY, HOUR, RequestHistory, open_history
from wrapper.services.requests.redis_store import RedisRequestStore
from wrapper.services.requests.request import RequestQuery, RequestUsage
from wrapper.services.requests.sqlite_store import SqliteRequestStore
from wrapper.services.store_health import StoreFailed
from wrapper.services.turns.request_log import facts_of_error
from wrapper.services.usage.store import Amounts
from wrapper.services.usage.tool_counts import ToolCounts
from wrapper.settings import Settings

ALICE, ANN = Principal("alice"), Principal("ann", admin=True)
EVER = RequestQuery("0000-01-01", "9999-12-31")
NOW = 1_764_500_000.0  # 2025-11-30
FACTS = {
    "id": "req-1",
    "key": "alice",
    "stream": True,
    "model": "sonnet",
    "profile": "agent",
    "session": "s-1",
    "first_token_ms": 100,
    "total_ms": 2000,
    "outcome": "done",
}
USED = RequestUsage("2025-11-29", Amounts(1, input=3, nanos=5), {"Read": ToolCounts(1, 0, 0, 7)})


class Store:
    """A store in memory that counts its batches, and fails if it is told to."""

    def __init__(self):
        self.batches = []
        self.failing = False

    def append(self, requests, oldest):
        if self.failing:
            raise StoreFailed("It is away.")
        self.batches.append(list(requests))
        self.oldest = oldest

    def find(self, query, before, limit):
        if self.failing:
            raise StoreFailed("It is away.")
        return [each for batch in self.batches for each in batch if query.matches(each)]

    def close(self):
        pass


@pytest.fixture(autouse=True)
def _seldom(monkeypatch):
    """Let tests flush by themselves."""
    monkeypatch.setattr(history_module, "FLUSH_SECONDS", 3600.0)


@pytest.fixture
def store():
    return Store()


def history_of(store, now=lambda: NOW, **options):
    return RequestHistory(store, 30, now=now, **options)


def kept(facts=FACTS, usage=USED, **options):
    store = Store()
    history = history_of(store, **options)
    history.add(facts, usage)
    history.flush()
    ((request,),) = store.batches
    return request


def test_what_is_kept():
    """A request is kept with its times, its usage, its tools, and when it began."""
    request = kept()
    assert (request.id, request.key, request.session, request.day) == (
        *("req-1", "alice", "s-1"),
        "2025-11-29",
    )
    assert request.began == NOW - 2
    assert request.amounts == USED.amounts
    assert request.details == {
        "stream": True,
        "profile": "agent",
        "first_token_ms": 100,
        "total_ms": 2000,
        "tools": {"Read": (1, 0, 0, 7)},
    }


def test_refused():
    """A request that was refused counts for the day on which it began, and used nothing."""
    request = kept({"id": "r", "key": "alice", "outcome": "rate_limit_exceeded"}, None)
    assert (request.day, request.amounts, request.model) == ("2025-11-30", Amounts(), "")


def test_session_of_claude_code():
    """The session of Claude Code counts where the request names none."""
    facts = {**FACTS, "session": "", "client_session": "c-1"}
    assert kept(facts).session == "c-1"


@pytest.mark.parametrize("prompts", [False, True])
def test_prompts(prompts):
    """What callers wrote is kept only with LOG_PROMPTS, and not at any length."""
    facts = {
        **FACTS,
        **facts_of_error(InvalidRequest("a secret is wrong", quote="a secret")),
        "messages": [["user", "a secret" * 10_000]],
    }
    details = kept(facts, prompts=prompts).details
    assert ("secret" in str(details)) is prompts
    assert len(json.dumps(details)) < 30_000
    assert details["status"] == 400


def test_error_of_the_gateway():
    """An error of the gateway's own is kept as the client gets it."""
    facts = {**FACTS, **facts_of_error(OSError("No space on /dev/sda"))}
    assert "sda" not in kept(facts, prompts=True).details["error"]
    overloaded = {**FACTS, **facts_of_error(Overloaded("Busy."))}
    assert kept(overloaded).details["error"] == "Busy."


def test_text_that_no_store_takes():
    """Half a surrogate pair is replaced, and a long text cut."""
    request = kept({**FACTS, "model": "\ud800", "session": "s" * 999})
    assert request.model == "?"
    assert len(request.session) < 300


def test_batches(store):
    """Requests are stored together, but not too many at once; without any, nothing is written."""
    history = history_of(store)
    history.flush()
    for _ in range(BATCH + 1):
        history.add(FACTS, USED)
    assert store.batches == []
    history.flush()
    assert [len(batch) for batch in store.batches] == [BATCH, 1]
    assert store.oldest == NOW - 30 * DAY


def test_old_requests_go_without_new_ones(store):
    """Once an hour old requests are removed, also where there are no new ones."""
    times = [NOW]
    history = history_of(store, now=lambda: times[-1])
    times.append(NOW + HOUR)
    history.flush()
    history.flush()
    assert store.batches == [[]]


def test_store_away(store, caplog):
    """Requests that the store does not take are missing, with a warning, and reading is a 503."""
    history = history_of(store)
    history.add(FACTS, USED)
    store.failing = True
    history.flush()
    assert "1 requests are missing from the history: It is away." in caplog.text
    with pytest.raises(Unavailable, match="It is away"):
        history.find(ANN, EVER, "", 10)
    store.failing = False
    assert history.find(ANN, EVER, "", 10) == []


def test_who_may_read(store):
    """A caller sees their own requests, at once, and an admin everybody's or one key's."""
    history = history_of(store)
    history.add(FACTS, USED)
    history.add({**FACTS, "key": "bob"}, USED)

    def keys(principal, key=None):
        found = history.find(principal, replace(EVER, key=key), "", 10)
        return [request.key for request in found]

    assert keys(ALICE) == keys(ALICE, "alice") == keys(ANN, "alice") == ["alice"]
    assert keys(ANN) == ["alice", "bob"]
    with pytest.raises(PermissionDenied, match="'alice' may not see the requests of 'bob'"):
        keys(ALICE, "bob")


def test_by_itself(store, monkeypatch):
    """What waits is stored soon, by a thread that ends."""
    monkeypatch.setattr(history_module, "FLUSH_SECONDS", 0.01)
    history = history_of(store)
    before = threading.active_count()
    history.add(FACTS, USED)
    assert eventually(lambda: len(store.batches) == 1)
    history.add(FACTS, USED)
    assert eventually(lambda: len(store.batches) == 2)
    assert eventually(lambda: threading.active_count() <= before)


def test_no_thread(store, monkeypatch):
    """Where the machine has no thread, no request fails, and the next one has all stored."""
    monkeypatch.setattr(history_module, "FLUSH_SECONDS", 0.01)
    history = history_of(store)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_thread)
        history.add(FACTS, USED)
    history.add(FACTS, USED)
    assert eventually(lambda: sum(map(len, store.batches)) == 2)


def test_flushed_early(store):
    """After a read has stored what waits, no thread waits to do so."""
    history = history_of(store)
    before = threading.active_count()
    history.add(FACTS, USED)
    history.flush()
    assert eventually(lambda: threading.active_count() <= before)


def test_close(store):
    """Closing stores what waits, and no thread stores anything later."""
    history = history_of(store)
    before = threading.active_count()
    history.add(FACTS, USED)
    history.close()
    assert len(store.batches) == 1
    history.add(FACTS, USED)
    assert eventually(lambda: threading.active_count() <= before)


def test_which_store(tmp_path):
    """The requests are where usage is; with REQUEST_LOG_DAYS=0 there is none."""
    file = str(tmp_path / "usage.db")
    sqlite, redis = Settings(usage_db=file), Settings(redis_url="redis://127.0.0.1:1/0")
    for settings, kind in ((sqlite, SqliteRequestStore), (redis, RedisRequestStore)):
        history = open_history(settings)
        assert history is not None
        assert isinstance(history._store, kind)
    assert open_history(Settings(request_log_days=0)) is None
    assert not (tmp_path / "usage.db").exists()
