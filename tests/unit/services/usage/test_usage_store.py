"""The usage stores: one contract for SQLite and Redis, and how each fails and recovers."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from redis import Redis

from tests.support.redis_server import RedisServer
from tests.support.server import ROOT
from wrapper.services.store_health import StoreFailed
from wrapper.services.usage.ledger import open_store
from wrapper.services.usage.redis_batch import Batch
from wrapper.services.usage.redis_store import RedisUsageStore
from wrapper.services.usage.sqlite_store import SqliteUsageStore
from wrapper.services.usage.store import NAMES, Amounts, Row, total
from wrapper.settings import Settings

pytestmark = pytest.mark.packages

EVER = ("0000-01-01", "9999-12-31")
DAY = "2026-11-26"
ROW = Row(DAY, "alice", "sonnet", Amounts(1, 2, 3, 4, 5, 6, 7, 8))
TWICE = Row(DAY, "alice", "sonnet", Amounts(2, 4, 6, 8, 10, 12, 14, 16))
TOO_MUCH = Row("2026-12-01", "alice", "sonnet", Amounts(1, nanos=2**70))
PASSWORD = "a:long/p@ss"
ESCAPED = "a%3Along%2Fp%40ss"

days = st.sampled_from(["2025-12-31", "2026-01-01", "2026-01-31", "2026-02-01", DAY])
keys = st.sampled_from(["alice", "bob", "a.b@c+d-e", "alice:2026-01"])
models = st.sampled_from(["sonnet", "us.anthropic.claude-v1:0", "a:b:c", "modèle", "%_*'"])
amounts = st.builds(Amounts, *[st.integers(-(2**40), 2**40)] * len(NAMES))
rows = st.builds(Row, days, keys, models, amounts)


class SqliteKind:
    """SQLite in a directory of the test's own."""

    def __init__(self, folder):
        self.location = str(folder / "usage.db")

    def open(self):
        return SqliteUsageStore(self.location)

    def wipe(self):
        for end in ("", "-wal", "-shm"):
            Path(self.location + end).unlink(missing_ok=True)


class RedisKind:
    """The Redis that the tests share, emptied."""

    def __init__(self, server):
        self.location = server.url

    def open(self):
        return RedisUsageStore(self.location)

    def wipe(self):
        with Redis.from_url(self.location) as client:
            client.flushall()


@pytest.fixture(params=["sqlite", "redis"])
def kind(request, tmp_path):
    if request.param == "sqlite":
        return SqliteKind(tmp_path)
    kind = RedisKind(request.getfixturevalue("redis_server"))
    kind.wipe()
    return kind


@pytest.fixture
def store(kind):
    store = kind.open()
    yield store
    store.close()


def store_at(location):
    return (
        RedisUsageStore(location) if location.startswith("redis:") else SqliteUsageStore(location)
    )


def child(code, *arguments):
    """Start a process that runs *code* with this module's names."""
    command = [sys.executable, "-c", f"import sys; from {__name__} import *; {code}"]
    return subprocess.Popen(
        [*command, *arguments], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def hammer(location):
    """Add 25 times from each of four threads, once the parent writes a line."""
    store = store_at(location)
    print("ready", flush=True)
    sys.stdin.readline()
    failed = []

    def add():
        try:
            for number in range(25):
                store.add([ROW, Row(DAY, "bob", f"model{number}", Amounts(1))])
        except StoreFailed as error:
            failed.append(error)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.exit(str(failed) if failed else 0)


def add_and_die(location):
    store_at(location).add([ROW])
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def full_disk():
    """Make the system refuse to grow files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    @contextlib.contextmanager
    def full():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return full


@contextlib.contextmanager
def unwritable(folder):
    """Make *folder* unwritable for this process, even as root."""
    folder.chmod(0o500)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o700)


def test_every_amount(store):
    """Each of the eight amounts is stored and added up separately."""
    store.add([ROW])
    store.add([ROW])
    assert store.read(DAY, DAY) == [TWICE]


def test_sqlite_format(tmp_path):
    """The table of stored rows stays, so that the next release reads it."""
    path = str(tmp_path / "usage.db")
    store = SqliteUsageStore(path)
    store.add([ROW])
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        cursor = connection.execute("SELECT * FROM spent")
        columns = [column[0] for column in cursor.description]
        assert dict(zip(columns, cursor.fetchone(), strict=True)) == {
            "day": DAY,
            "key": "alice",
            "model": "sonnet",
            "requests": 1,
            "input": 2,
            "cache_read": 3,
            "cache_creation": 4,
            "output": 5,
            "reasoning": 6,
            "nanos": 7,
            "unpriced_nanos": 8,
        }


def test_redis_format(redis_server):
    """The keys and fields of stored rows stay, so that the next release reads them."""
    prefix = "claude-code-gateway:usage"
    with Redis.from_url(redis_server.url, decode_responses=True) as client:
        client.flushall()
        store = RedisUsageStore(redis_server.url, new_id=lambda: "one")
        store.add([ROW])
        store.close()
        assert client.smembers(f"{prefix}:keys") == {"alice"}
        assert client.smembers(f"{prefix}:months") == {"2026-11"}
        assert client.get(f"{prefix}:batch:one") == "booked"
        assert client.hgetall(f"{prefix}:2026-11:alice") == {
            "26:requests:sonnet": "1",
            "26:input:sonnet": "2",
            "26:cache_read:sonnet": "3",
            "26:cache_creation:sonnet": "4",
            "26:output:sonnet": "5",
            "26:reasoning:sonnet": "6",
            "26:nanos:sonnet": "7",
            "26:unpriced_nanos:sonnet": "8",
        }


def test_twice_in_one_add(store):
    """One add may name the same day, key and model more than once."""
    store.add([ROW, ROW])
    assert store.read(DAY, DAY) == [TWICE]


def test_which_rows_are_read(store):
    """Days are read from the first to the last, of one key or all, in order."""
    kept = [
        Row(day, key, model, Amounts(1))
        for day in ("2026-10-31", "2026-11-01", "2026-11-02", "2026-12-01")
        for key in ("alice", "bob")
        for model in ("haiku", "sonnet")
    ]
    store.add(kept[::-1])
    assert store.read(*EVER) == kept
    assert store.read("2026-11-01", "2026-11-02") == kept[4:12]
    assert store.read("2026-11-02", "2026-11-30") == kept[8:12]
    assert store.read("2026-11-01", "2026-12-01", "bob") == [r for r in kept[4:] if r.key == "bob"]
    assert store.read(*EVER, "carol") == []


def test_check(store):
    """A store that can be reached passes the check, which adds nothing."""
    store.check()
    assert store.read("0000-01-01", "9999-12-31") == []


def test_check_makes_no_file(tmp_path):
    """The check passes while the file is still to be made, and does not make it."""
    SqliteUsageStore(str(tmp_path / "usage.db")).check()
    assert not list(tmp_path.iterdir())


def test_check_of_what_is_no_database(tmp_path):
    """The check fails for a file that is no database, with what to do."""
    (tmp_path / "usage.db").write_text("hello" * 1000)
    with pytest.raises(StoreFailed, match="move the file away"):
        SqliteUsageStore(str(tmp_path / "usage.db")).check()


def test_check_without_redis():
    """The check fails for a Redis that is not there."""
    with pytest.raises(StoreFailed, match="Redis cannot be reached"):
        RedisUsageStore("redis://127.0.0.1:1/0").check()


def test_nothing(store):
    """A new store is empty, and rows with only zeros are left out."""
    assert store.read(*EVER) == []
    store.add([])
    store.add([ROW])
    store.add([Row(DAY, "alice", "sonnet", Amounts() - ROW.amounts)])
    assert store.read(*EVER) == []


def test_users(kind, store):
    """What users spend is summed by user and day, apart from what their key spends."""
    mine = Row(DAY, "alice", "", Amounts(nanos=7, unpriced_nanos=1), "u1")
    store.add([ROW, mine, Row(DAY, "alice", "", Amounts(nanos=5), "u2")])
    store.add([mine, Row("2026-11-27", "alice", "", Amounts(nanos=3), "u1")])
    store.add([Row("2026-11-27", "bob", "", Amounts(nanos=3), "u1")])
    assert store.read(*EVER) == [ROW]
    other = kind.open()
    assert other.read_user("2026-11-01", "2026-11-30", "alice", "u1") == [
        Row(DAY, "alice", "", Amounts(nanos=16), "u1"),
        Row("2026-11-27", "alice", "", Amounts(nanos=3), "u1"),
    ]
    assert [row.amounts.nanos for row in other.read_user(DAY, DAY, "alice", "u1")] == [16]
    assert other.read_user(DAY, DAY, "alice", "u3") == []
    other.close()


def test_announced_once(kind, store):
    """Whatever store object keeps an occurrence first, it is new only once."""
    other = kind.open()
    assert [each.announce(DAY, "a") for each in (store, other, store)] == [True, False, False]
    assert other.announce(DAY, "b")
    other.close()


def test_users_are_forgotten(tmp_path, redis_server):
    """What users spent, and what was announced, is kept for this month and the one before."""
    store = SqliteUsageStore(str(tmp_path / "usage.db"))
    days = ("2026-09-30", "2026-10-01", "2026-11-30")
    for day in days:
        store.add([Row(day, "alice", "", Amounts(nanos=1), "u1")])
        store.announce(day, day)
    assert [bool(store.read_user(day, day, "alice", "u1")) for day in days] == [False, True, True]
    assert [store.announce(days[-1], day) for day in days] == [True, False, False]
    store.close()
    with Redis.from_url(redis_server.url, decode_responses=True) as client:
        client.flushall()
        redis_store = RedisUsageStore(redis_server.url)
        redis_store.add([Row(DAY, "alice", "", Amounts(nanos=1), "u1"), ROW])
        redis_store.announce(DAY, "a")
        redis_store.close()
        prefix = "claude-code-gateway:usage"
        kept = (f"{prefix}:users:2026-11:alice", f"{prefix}:announced:a")
        assert all(60 < client.ttl(key) / 86400 <= 62 for key in kept)
        assert client.ttl(f"{prefix}:2026-11:alice") == -1


@hypothesis_settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.lists(rows, max_size=5), max_size=6))
def test_sums(kind, store, batches):
    """Reading returns the sums of everything that was added."""
    kind.wipe()
    sums: dict[tuple[str, str, str], Amounts] = defaultdict(Amounts)
    for batch in batches:
        store.add(batch)
        for row in batch:
            sums[row.day, row.key, row.model] += row.amounts
    expected = [Row(*key, sums[key]) for key in sorted(sums) if sums[key] != Amounts()]
    assert store.read(*EVER) == expected
    for key in {key for _, key, _ in sums}:
        assert store.read(*EVER, key) == [row for row in expected if row.key == key]


def test_all_or_nothing(store):
    """Where one row of an add is refused none is stored, and the store still works."""
    with pytest.raises(StoreFailed):
        store.add([ROW, TOO_MUCH, ROW])
    assert store.read(*EVER) == []
    store.add([ROW])
    assert store.read(*EVER) == [ROW]


def test_opened_again(kind, store):
    """Rows survive closing, and a closed store opens again on use."""
    store.add([ROW])
    store.close()
    other = kind.open()
    assert other.read(*EVER) == [ROW]
    other.close()
    store.add([ROW])
    assert store.read(*EVER) == [TWICE]


def test_processes_and_threads(kind, store):
    """Two processes of four threads that add to a new store at once lose nothing."""
    processes = [child("hammer(sys.argv[1])", kind.location) for _ in range(2)]
    assert [process.stdout.readline() for process in processes] == [b"ready\n"] * 2
    for process in processes:
        process.stdin.write(b"go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=50)
    assert [process.returncode for process in processes] == [0, 0]
    stored = store.read(*EVER)
    assert stored[0].amounts == total([ROW.amounts] * 200)
    assert [row.amounts.requests for row in stored[1:]] == [8] * 25


def test_killed(kind, store):
    """Added rows survive when their process is killed right after."""
    process = child("add_and_die(sys.argv[1])", kind.location)
    process.communicate(timeout=50)
    assert process.returncode == -signal.SIGKILL
    assert store.read(*EVER) == [ROW]


def test_which_store(tmp_path):
    """With REDIS_URL the store is Redis, else a file; neither is opened yet."""
    file = tmp_path / "none" / "usage.db"
    assert isinstance(open_store(Settings(usage_db=str(file))), SqliteUsageStore)
    assert isinstance(open_store(Settings(redis_url="redis://127.0.0.1:1/0")), RedisUsageStore)
    assert not file.parent.exists()


def test_file_for_oneself(tmp_path, monkeypatch):
    """The file and missing directories are created for their user alone."""
    monkeypatch.setenv("HOME", str(tmp_path))
    store = SqliteUsageStore("~/a/b/usage.db")
    store.add([ROW])
    folder = tmp_path / "a"  # gateways of other tests may write elsewhere in the home directory
    modes = {
        str(p.relative_to(tmp_path)): stat.S_IMODE(p.stat().st_mode)
        for p in (folder, *folder.rglob("*"))
    }
    store.close()
    files = [name for name in modes if "usage.db" in name]
    assert len(files) == 3
    assert modes == {"a": 0o700, "a/b": 0o700, **dict.fromkeys(files, 0o600)}


def test_first_moment(tmp_path):
    """Threads that all open a new file at once lose nothing."""
    for number in range(20):
        store = SqliteUsageStore(str(tmp_path / f"{number}" / "usage.db"))
        start = threading.Barrier(8)

        def add(store=store, start=start):
            start.wait()
            store.add([ROW])

        threads = [threading.Thread(target=add) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.read(*EVER)[0].amounts.requests == 8
        store.close()


def test_readers_do_not_wait(tmp_path):
    """Reading does not wait for a connection that writes."""
    writer, reader = (SqliteUsageStore(str(tmp_path / "usage.db")) for _ in range(2))
    writer.add([ROW])
    with writer._file.opened() as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert reader.read(*EVER) == [ROW]
        connection.execute("ROLLBACK")
    writer.close()
    reader.close()


def test_corrupt_file(tmp_path):
    """The error for a file that is no database says what to do, and moving it away works."""
    file = tmp_path / "usage.db"
    file.write_bytes(b"no database " * 1000)
    store = SqliteUsageStore(str(file))
    for use in (lambda: store.add([ROW]), lambda: store.read(*EVER)):
        with pytest.raises(
            StoreFailed, match="file is not a database; move the file away"
        ) as caught:
            use()
        assert str(file) in caught.value.details
        assert str(file) not in caught.value.message
    file.rename(tmp_path / "broken")
    store.add([ROW])
    assert store.read(*EVER) == [ROW]
    store.close()


def test_damaged_file(tmp_path):
    """A damaged database raises StoreFailed."""
    file = tmp_path / "usage.db"
    store = SqliteUsageStore(str(file))
    store.add([Row(DAY, "alice", f"model{number}", Amounts(1)) for number in range(2000)])
    store.close()
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(b"\xff" * 40_000)
    with pytest.raises(StoreFailed, match="malformed; move the file away"):
        store.read(*EVER)
    store.close()


def test_file_that_was_deleted(tmp_path):
    """A store whose file was deleted creates a new one."""
    file = tmp_path / "usage.db"
    store = SqliteUsageStore(str(file))
    store.add([ROW])
    for taken in tmp_path.iterdir():
        taken.unlink()
    store.add([ROW])
    store.close()
    assert SqliteUsageStore(str(file)).read(*EVER) == [ROW]


def test_unwritable_directory(tmp_path):
    """A store in an unwritable directory fails until it is writable."""
    store = SqliteUsageStore(str(tmp_path / "state" / "usage.db"))
    with unwritable(tmp_path), pytest.raises(StoreFailed, match="denied; see that"):
        store.add([ROW])
    store.add([ROW])
    assert store.read(*EVER) == [ROW]
    store.close()


def test_directory_that_goes_and_comes(tmp_path):
    """A store fails while its directory is away, and has all rows when it is back."""
    folder, aside = tmp_path / "state", tmp_path / "aside"
    store = SqliteUsageStore(str(folder / "usage.db"))
    store.add([ROW])
    folder.rename(aside)
    folder.touch()
    with pytest.raises(StoreFailed, match="Not a directory"):
        store.add([ROW])
    folder.unlink()
    aside.rename(folder)
    store.add([ROW])
    assert store.read(*EVER) == [TWICE]
    store.close()


@pytest.mark.parametrize("opened", [False, True])
def test_full_disk(tmp_path, full_disk, opened):
    """On a full disk nothing is added or lost, and the store recovers by itself."""
    store = SqliteUsageStore(str(tmp_path / "usage.db"))
    store.add([ROW])
    if not opened:
        store.close()
    many = [Row(DAY, "bob", f"model{number}", Amounts(1)) for number in range(500)]
    with full_disk(), pytest.raises(StoreFailed, match="USAGE_DB: "):
        store.add(many)
    assert store.read(*EVER) == [ROW]
    store.add(many)
    assert len(store.read(*EVER)) == 501
    store.close()


def test_busy(tmp_path, monkeypatch):
    """A file that another process locks for too long raises StoreFailed that says so."""
    monkeypatch.setattr("wrapper.services.sqlite_file.BUSY", 0.01)
    holder, store = (SqliteUsageStore(str(tmp_path / "usage.db")) for _ in range(2))
    with holder._file.opened() as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreFailed, match="locked; another process holds it"):
            store.add([ROW])
        connection.execute("ROLLBACK")
    store.add([ROW])
    assert store.read(*EVER) == [ROW]
    store.close()
    holder.close()


def test_no_home(monkeypatch):
    """An unknown home directory raises StoreFailed."""
    store = SqliteUsageStore("~nobody-of-this-name/usage.db")
    with pytest.raises(StoreFailed, match="home directory"):
        store.read(*EVER)


def test_redis_that_goes_and_comes(tmp_path):
    """The store fails while Redis is down, and works once it is back."""
    server = RedisServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always").start()
    store = RedisUsageStore(server.url)
    try:
        store.add([ROW])
        server.stop()
        for _ in range(3):
            with pytest.raises(StoreFailed, match="REDIS_URL: Redis cannot be reached"):
                store.add([ROW])
        with pytest.raises(StoreFailed):
            store.read(*EVER)
        server.start(server.port)
        assert store.read(*EVER) == [ROW]
        store.add([ROW])
        assert store.read(*EVER) == [TWICE]
    finally:
        store.close()
        server.stop()


@pytest.mark.parametrize("reads_first", [False, True])
def test_lost_answer(tmp_path, reads_first):
    """A batch whose reply was lost is not kept, even if Redis has booked it."""
    server = RedisServer(tmp_path).start()
    store = RedisUsageStore(f"{server.url}?socket_timeout=1")
    try:
        store.add([ROW])
        server.freeze()
        with pytest.raises(StoreFailed):
            store.add([ROW, Row(DAY, "bob", "haiku", Amounts(1, nanos=-5))])
        server.thaw()
        if reads_first:
            assert store.read(*EVER) == [ROW]
        store.add([ROW])
        assert store.read(*EVER) == [TWICE]
    finally:
        store.close()
        server.stop()


@pytest.mark.parametrize("came", [("void", "booked"), ("booked", "void", "void")])
def test_batch_that_is_given_up(redis_server, came):
    """A voided batch is not kept, whether it arrives before or after that, and is voided once."""
    with Redis.from_url(redis_server.url, decode_responses=True) as client:
        client.flushall()
        for state in came:
            Batch("one", (ROW,)).run(client, state)
    store = RedisUsageStore(redis_server.url)
    assert store.read(*EVER) == []
    store.add([ROW])
    assert store.read(*EVER) == [ROW]
    store.close()


def test_password(tmp_path):
    """The password of Redis is in no error."""
    server = RedisServer(tmp_path, "--requirepass", PASSWORD).start()
    at = f"@127.0.0.1:{server.port}/0"
    try:
        store = RedisUsageStore(f"redis://:{ESCAPED}{at}")
        store.add([ROW])
        assert store.read(*EVER) == [ROW]
        store.close()
        with pytest.raises(StoreFailed, match="Redis cannot be reached") as caught:
            RedisUsageStore(f"redis://:other-{ESCAPED}{at}").add([ROW])
        assert "invalid username-password" in caught.value.details
        assert "a:long" not in caught.value.details
        # Older clients do not log in first, so Redis refuses their command.
        with pytest.raises(StoreFailed, match=r"REDIS_URL: Redis (cannot be reached|refuses)"):
            RedisUsageStore(f"redis://127.0.0.1:{server.port}/0").add([ROW])
    finally:
        server.stop()


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:12#secret@127.0.0.1:1/0",
        "redis://user:12/secret@127.0.0.1:1/0",
        "redis://:secret@127.0.0.1:secret/0",
        "redis://:secret@127.0.0.1:1/0?socket_timeout=secret",
        "redis://127.0.0.1:1/0?password=secret",
        "nonsense://:secret@host",
        "redis://:secret@[::1/0",
        "redis://:secret@127.0.0.1:1/0",
        "unix://:secret@/nowhere/secret.sock",
    ],
)
def test_wrong_url(url):
    """The error for a wrong URL names the setting and hides the password."""
    store = RedisUsageStore(url)
    with pytest.raises(StoreFailed, match=r"^REDIS_URL: ") as caught:
        store.add([ROW])
    assert "secret" not in caught.value.details
    assert "12" not in caught.value.details.replace("127.0.0.1", "")
    store.close()


def test_without_redis_py(monkeypatch):
    """Without redis-py the error says how to install it."""
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(StoreFailed, match=r"pip install 'claude-code-gateway\[redis\]'"):
        RedisUsageStore("redis://127.0.0.1:1/0").add([ROW])
