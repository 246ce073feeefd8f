"""The tool statistics: what the stores keep, and who may read it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
from redis import Redis

from wrapper.errors import PermissionDenied, Unavailable
from wrapper.services.principal import Principal
from wrapper.services.store_health import StoreFailed
from wrapper.services.usage.redis_store import RedisUsageStore
from wrapper.services.usage.sqlite_store import SqliteUsageStore
from wrapper.services.usage.tool_counts import MAX_TOOLS, OTHER, ToolCounts, ToolRow
from wrapper.services.usage.tool_stats import ToolStats

pytestmark = pytest.mark.packages

NOVEMBER = ("2026-11-01", "2026-11-30")
FIRST, LAST = date(2026, 11, 1), date(2026, 11, 30)
READ, BASH = ToolCounts(3, 1, 1, 1500), ToolCounts(1, 0, 0, 20)
ALICE, ANN = Principal("alice", admin=False), Principal("ann", admin=True)


@pytest.fixture(params=["sqlite", "redis"])
def opened(request, tmp_path):
    """A function that opens the store as another worker does."""
    if request.param == "redis":
        server = request.getfixturevalue("redis_server")
        with Redis.from_url(server.url) as client:
            client.flushall()
    stores: list[SqliteUsageStore | RedisUsageStore] = []

    def open_another():
        if request.param == "sqlite":
            stores.append(SqliteUsageStore(str(tmp_path / "usage.db")))
        else:
            stores.append(RedisUsageStore(server.url))
        return stores[-1]

    yield open_another
    for store in stores:
        store.close()


def test_sums_of_workers(opened):
    """What several workers add is summed by key and tool, in order."""
    one, other = opened(), opened()
    one.add_tools("2026-11-29", "alice", {"Read": READ, "Bash": BASH})
    other.add_tools("2026-11-30", "alice", {"Read": READ})
    other.add_tools("2026-11-30", "a:b", {"mcp__a__b": BASH})
    alice = [ToolRow("alice", "Bash", BASH), ToolRow("alice", "Read", READ + READ)]
    assert one.read_tools(*NOVEMBER) == [ToolRow("a:b", "mcp__a__b", BASH), *alice]
    assert one.read_tools(*NOVEMBER, "alice") == alice
    assert one.read_tools("2026-11-30", "2026-12-31", "alice") == [ToolRow("alice", "Read", READ)]
    assert one.read_tools("2026-12-01", "2026-12-31") == []
    assert one.read(*NOVEMBER) == []


def test_at_once(opened):
    """Of two workers that add at the same time, nothing is lost."""
    stores = [opened(), opened()]
    with ThreadPoolExecutor(2) as threads:
        for store in stores:
            for _ in range(20):
                threads.submit(store.add_tools, "2026-11-30", "alice", {"Read": BASH})
    assert stores[0].read_tools(*NOVEMBER) == [ToolRow("alice", "Read", ToolCounts(40, 0, 0, 800))]


def test_number_of_names(opened):
    """However many names there are, so many are kept for a key and month; the rest is one."""
    store = opened()
    for day in ("2026-11-29", "2026-11-30"):
        names = [f"mcp__s__{day}{number:04}" for number in range(MAX_TOOLS)]
        store.add_tools(day, "alice", dict.fromkeys([*names, "more"], BASH))
    store.add_tools("2026-11-30", "bob", {"new": BASH})
    rows = {row.tool: row.counts for row in store.read_tools(*NOVEMBER, "alice")}
    assert len(rows) == MAX_TOOLS + 1
    assert rows[OTHER].uses == MAX_TOOLS + 2
    assert store.read_tools(*NOVEMBER, "bob") == [ToolRow("bob", "new", BASH)]


def test_report(opened):
    """A caller sees their own lines, and an admin all or one key's; time is in seconds."""
    stats = ToolStats(opened())
    stats.add("2026-11-30", "alice", {"Read": READ})
    stats.add("2026-11-30", "bob", {"Bash": BASH})
    line = {"key": "alice", "tool": "Read", "uses": 3, "failures": 1, "denials": 1, "seconds": 1.5}
    assert stats.report(ALICE, FIRST, LAST)["data"] == [line]
    assert [row["key"] for row in stats.report(ANN, FIRST, LAST)["data"]] == ["alice", "bob"]
    assert stats.report(ANN, FIRST, LAST, "alice")["data"] == [line]
    with pytest.raises(
        PermissionDenied, match="'alice' may not see how 'bob' uses tools"
    ) as caught:
        stats.report(ALICE, FIRST, LAST, "bob")
    assert caught.value.param == "key"


def test_store_away(caplog):
    """A store that fails costs the counts, with a warning, and a report is a 503."""

    class Failing:
        def add_tools(self, day, key, counts):
            raise StoreFailed("It is away.")

        def read_tools(self, first, last, key=None):
            raise StoreFailed("It is away.")

    stats = ToolStats(Failing())
    stats.add("2026-11-30", "alice", {"Read": READ, "Bash": BASH})
    assert "4 uses of tools are not counted: It is away." in caplog.text
    with pytest.raises(Unavailable, match="It is away"):
        stats.report(ALICE, FIRST, LAST)
