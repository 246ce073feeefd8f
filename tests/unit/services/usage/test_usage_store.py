"""The stores: one contract for SQLite and Redis, and how each of them breaks and heals."""

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
from wrapper.services.usage.ledger import open_store
from wrapper.services.usage.redis_store import RedisUsageStore, _Batch, _run
from wrapper.services.usage.sqlite_store import SqliteUsageStore
from wrapper.services.usage.store import NAMES, Amounts, Row, StoreFailed, total
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
        self.place = str(folder / "usage.db")

    def open(self):
        return SqliteUsageStore(self.place)

    def wipe(self):
        for end in ("", "-wal", "-shm"):
            Path(self.place + end).unlink(missing_ok=True)


class RedisKind:
    """The Redis that the tests share, emptied."""

    def __init__(self, server):
        self.place = server.url

    def open(self):
        return RedisUsageStore(self.place)

    def wipe(self):
        with Redis.from_url(self.place) as client:
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


def store_at(place):
    return RedisUsageStore(place) if place.startswith("redis:") else SqliteUsageStore(place)


def child(code, *arguments):
    """Start a process that runs *code* with this module's names."""
    command = [sys.executable, "-c", f"import sys; from {__name__} import *; {code}"]
    return subprocess.Popen(
        [*command, *arguments], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def hammer(place):
    """Add 25 times from each of four threads, once the parent says so."""
    store = store_at(place)
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


def add_and_die(place):
    store_at(place).add([ROW])
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def full_disk():
    """Let the system refuse every file that grows."""
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
    """Take the right to write in *folder* from this process, root or not."""
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
    """Each of the eight amounts is kept as itself, and added to."""
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
        found = connection.execute("SELECT * FROM spent")
        columns = [column[0] for column in found.description]
        assert dict(zip(columns, found.fetchone(), strict=True)) == {
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


def test_nothing(store):
    """There is nothing to read at first, and what comes to nothing is left out."""
    assert store.read(*EVER) == []
    store.add([])
    store.add([ROW])
    store.add([Row(DAY, "alice", "sonnet", Amounts() - ROW.amounts)])
    assert store.read(*EVER) == []


@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.lists(rows, max_size=5), max_size=6))
def test_sums(kind, store, batches):
    """Whatever is added, what is read is its sums."""
    kind.wipe()
    sums: dict[tuple[str, str, str], Amounts] = defaultdict(Amounts)
    for batch in batches:
        store.add(batch)
        for row in batch:
            sums[row.day, row.key, row.model] += row.amounts
    expected = [Row(*place, sums[place]) for place in sorted(sums) if sums[place] != Amounts()]
    assert store.read(*EVER) == expected
    for key in {key for _, key, _ in sums}:
        assert store.read(*EVER, key) == [row for row in expected if row.key == key]


def test_all_or_nothing(store):
    """Where one row of an add is refused, none is kept, and the store goes on."""
    with pytest.raises(StoreFailed):
        store.add([ROW, TOO_MUCH, ROW])
    assert store.read(*EVER) == []
    store.add([ROW])
    assert store.read(*EVER) == [ROW]


def test_opened_again(kind, store):
    """What was added is there for whoever opens the store next; a closed one opens itself."""
    store.add([ROW])
    store.close()
    other = kind.open()
    assert other.read(*EVER) == [ROW]
    other.close()
    store.add([ROW])
    assert store.read(*EVER) == [TWICE]


def test_processes_and_threads(kind, store):
    """Two processes of four threads that add at once, from the first moment on, lose nothing."""
    processes = [child("hammer(sys.argv[1])", kind.place) for _ in range(2)]
    assert [process.stdout.readline() for process in processes] == [b"ready\n"] * 2
    for process in processes:
        process.stdin.write(b"go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=50)
    assert [process.returncode for process in processes] == [0, 0]
    found = store.read(*EVER)
    assert found[0].amounts == total([ROW.amounts] * 200)
    assert [row.amounts.requests for row in found[1:]] == [8] * 25


def test_killed(kind, store):
    """What was added survives that its process is killed right after."""
    process = child("add_and_die(sys.argv[1])", kind.place)
    process.communicate(timeout=50)
    assert process.returncode == -signal.SIGKILL
    assert store.read(*EVER) == [ROW]


def test_which_store(tmp_path):
    """A Redis keeps the books where there is one, and a file where not; neither is opened yet."""
    file = tmp_path / "none" / "usage.db"
    assert isinstance(open_store(Settings(usage_db=str(file))), SqliteUsageStore)
    assert isinstance(open_store(Settings(redis_url="redis://127.0.0.1:1/0")), RedisUsageStore)
    assert not file.parent.exists()


def test_file_for_oneself(tmp_path, monkeypatch):
    """The file and the directories above it are made where they lack, for their user alone."""
    monkeypatch.setenv("HOME", str(tmp_path))
    store = SqliteUsageStore("~/a/b/usage.db")
    store.add([ROW])
    modes = {
        str(p.relative_to(tmp_path)): stat.S_IMODE(p.stat().st_mode) for p in tmp_path.rglob("*")
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
    """What is kept can be read while another connection is about to write."""
    writer, reader = (SqliteUsageStore(str(tmp_path / "usage.db")) for _ in range(2))
    writer.add([ROW])
    with writer._opened() as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert reader.read(*EVER) == [ROW]
        connection.execute("ROLLBACK")
    writer.close()
    reader.close()


def test_corrupt_file(tmp_path):
    """A file that is no database is told with its place and its mend, and may be moved away."""
    file = tmp_path / "usage.db"
    file.write_bytes(b"no database " * 1000)
    store = SqliteUsageStore(str(file))
    for use in (lambda: store.add([ROW]), lambda: store.read(*EVER)):
        with pytest.raises(
            StoreFailed, match="file is not a database; move the file away"
        ) as caught:
            use()
        assert str(file) in str(caught.value)
        assert str(file) not in caught.value.reason
    file.rename(tmp_path / "broken")
    store.add([ROW])
    assert store.read(*EVER) == [ROW]
    store.close()


def test_damaged_file(tmp_path):
    """A database whose pages were overwritten is a failure of the store, and no crash."""
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
    """A store whose file is taken away makes a new one, and does not write into nowhere."""
    file = tmp_path / "usage.db"
    store = SqliteUsageStore(str(file))
    store.add([ROW])
    for taken in tmp_path.iterdir():
        taken.unlink()
    store.add([ROW])
    store.close()
    assert SqliteUsageStore(str(file)).read(*EVER) == [ROW]


def test_unwritable_directory(tmp_path):
    """Where the directory cannot be written the store fails, and heals when it can."""
    store = SqliteUsageStore(str(tmp_path / "state" / "usage.db"))
    with unwritable(tmp_path), pytest.raises(StoreFailed, match="denied; see that"):
        store.add([ROW])
    store.add([ROW])
    assert store.read(*EVER) == [ROW]
    store.close()


def test_directory_that_goes_and_comes(tmp_path):
    """Where a directory is no more one the store fails; when it is back all of it is there."""
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
    """Where the system refuses to write, nothing is added and nothing lost; it heals by itself."""
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
    """A file that another holds for too long is a failure that says so."""
    monkeypatch.setattr("wrapper.services.usage.sqlite_store.BUSY", 0.01)
    holder, store = (SqliteUsageStore(str(tmp_path / "usage.db")) for _ in range(2))
    with holder._opened() as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreFailed, match="locked; another process holds it"):
            store.add([ROW])
        connection.execute("ROLLBACK")
    store.add([ROW])
    assert store.read(*EVER) == [ROW]
    store.close()
    holder.close()


def test_no_home(monkeypatch):
    """A ~ that means nothing is a failure of the store."""
    store = SqliteUsageStore("~nobody-of-this-name/usage.db")
    with pytest.raises(StoreFailed, match="home directory"):
        store.read(*EVER)


def test_redis_that_goes_and_comes(tmp_path):
    """A Redis that stops is a failure; the store goes on when it is back on its port."""
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
    """A batch whose answer was lost is not kept, even where Redis has carried it out since."""
    server = RedisServer(tmp_path).start()
    store = RedisUsageStore(f"{server.url}?socket_timeout=0.3")
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
    """A batch that is given up is not kept, whether it comes later or came before, and once."""
    with Redis.from_url(redis_server.url, decode_responses=True) as client:
        client.flushall()
        for state in came:
            _run(client, _Batch("one", (ROW,)), state)
    store = RedisUsageStore(redis_server.url)
    assert store.read(*EVER) == []
    store.add([ROW])
    assert store.read(*EVER) == [ROW]
    store.close()


def test_password(tmp_path):
    """A Redis may want a password, which no error tells."""
    server = RedisServer(tmp_path, "--requirepass", PASSWORD).start()
    at = f"@127.0.0.1:{server.port}/0"
    try:
        store = RedisUsageStore(f"redis://:{ESCAPED}{at}")
        store.add([ROW])
        assert store.read(*EVER) == [ROW]
        store.close()
        with pytest.raises(StoreFailed, match="invalid username-password") as caught:
            RedisUsageStore(f"redis://:other-{ESCAPED}{at}").add([ROW])
        assert "a:long" not in str(caught.value)
        # Older clients do not greet a Redis, which then refuses what they ask.
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
    """An address that is wrong is told by its setting, without any of its password."""
    store = RedisUsageStore(url)
    with pytest.raises(StoreFailed, match=r"^REDIS_URL: ") as caught:
        store.add([ROW])
    assert "secret" not in str(caught.value)
    assert "12" not in str(caught.value).replace("127.0.0.1", "")
    store.close()


def test_without_redis_py(monkeypatch):
    """Where redis-py is not installed the error says how to install it."""
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(StoreFailed, match=r"pip install 'claude-code-gateway\[redis\]'"):
        RedisUsageStore("redis://127.0.0.1:1/0").add([ROW])
