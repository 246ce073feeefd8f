"""Files, their records and their contents, in both kinds of stores."""

from __future__ import annotations

import errno
import io
import resource
import time
import uuid

import pytest
from redis import Redis

from wrapper.errors import (
    QuotaExceeded,
    RequestTooLarge,
    StorageFull,
    StoredFileNotFound,
    Unavailable,
)
from wrapper.services.files import upload as uploads
from wrapper.services.files.directory_contents import DirectoryContents
from wrapper.services.files.redis_contents import RedisContents
from wrapper.services.files.redis_records import RedisFileRecords
from wrapper.services.files.service import FORM_BYTES, FileService, open_files
from wrapper.services.files.sqlite_records import SqliteFileRecords
from wrapper.services.files.store import LEAST_BYTES, PIECE_BYTES, Room
from wrapper.services.files.upload import Stores
from wrapper.services.listing import ListQuery
from wrapper.services.principal import Principal
from wrapper.settings import Settings

MANY = Room(10**9, 100)
TTL = 3600
ALICE, BOB = "alice", "b:o*b"
CONTENT = bytes(range(256)) * 4096 + b"the end"


@pytest.fixture(params=["directory", "redis", "redis and directory"])
def stores(request, tmp_path):
    """Return a function that opens the same stores again, as another worker does."""
    opened = []

    def open_() -> Stores:
        opened.append(one := make())
        return one

    def make() -> Stores:
        directory = DirectoryContents(str(tmp_path / "deep" / "files"))
        if request.param == "directory":
            records = SqliteFileRecords(str(tmp_path / "deep" / "files" / "files.db"))
            return Stores(records, directory)
        if request.param == "redis":
            return Stores(RedisFileRecords(url, prefix), RedisContents(url, prefix))
        return Stores(RedisFileRecords(url, prefix), directory)

    if request.param != "directory":
        url = request.getfixturevalue("redis_server").url
        prefix = f"test-{uuid.uuid4().hex}"
    yield open_
    for one in opened:
        one.records.close()
        one.contents.close()
    if request.param != "directory":
        with Redis.from_url(url) as client:
            left = list(client.scan_iter(f"{prefix}:*"))
            assert all(client.pttl(key) > 0 for key in left if b":content:" in key)
            if left:
                client.delete(*left)


def service_of(stores, room=MANY, most=10**8):
    return FileService(stores, room, most, TTL)


def store(service, data=CONTENT, owner=ALICE, seconds=TTL, purpose="batch"):
    with service.upload(owner) as upload:
        for begin in range(0, len(data), 100_000):
            upload.write(data[begin : begin + 100_000])
        return upload.finish("../a b.jsonl", purpose, seconds)


def content(service, file, *part):
    pieces = service.read(file, *part)
    try:
        return b"".join(pieces)
    finally:
        pieces.close()


def test_what_is_stored(stores):
    """Every worker finds a file with its content, whole or in part."""
    file = store(service_of(stores()))
    assert (file.size, file.name, file.expires_at - file.created_at) == (
        len(CONTENT),
        "../a b.jsonl",
        TTL,
    )
    other = service_of(stores())
    assert other.find(ALICE, file.id) == file
    assert other.list(ALICE) == [file]
    assert content(other, file) == CONTENT
    border = PIECE_BYTES
    assert content(other, file, border - 2, border + 3) == CONTENT[border - 2 : border + 3]
    assert content(other, file, 5, 5) == b""


def test_an_empty_file(stores):
    """A file may be empty."""
    service = service_of(stores())
    file = store(service, b"")
    assert (file.size, content(service, file)) == (0, b"")


def test_other_owners(stores):
    """A key neither finds, lists nor deletes the file of another."""
    service = service_of(stores())
    file = store(service)
    for act in (service.find, service.delete):
        for id_ in (file.id, "file-" + "0" * 32, "../files.db", "file-x", file.id + "\n"):
            with pytest.raises(StoredFileNotFound):
                act(BOB, id_)
    assert service.list(BOB) == []
    assert service.find(ALICE, file.id) == file


def test_of_all_keys(stores, monkeypatch):
    """An admin finds the files of all keys: those kept longest, if there are too many."""
    service, eve = service_of(stores()), Principal("eve", admin=True)
    files = [store(service, b"x", owner, TTL + n) for n, owner in enumerate((ALICE, BOB, ALICE))]
    store(service, b"x", BOB, 0)
    with service.upload(BOB):
        found = service.search(eve, ListQuery())
    assert {file.id for file in found.rows} == {file.id for file in files}
    assert {file.owner for file in found.rows} == {ALICE, BOB}
    assert found.owner is None
    own = service.search(Principal(ALICE), ListQuery())
    assert {file.id for file in own.rows} == {files[0].id, files[2].id}
    monkeypatch.setattr("wrapper.services.files.service.MOST_LISTED", 2)
    few = service.search(eve, ListQuery())
    assert {file.id for file in few.rows} <= {file.id for file in files[1:]}


def test_deletion(stores):
    """What is deleted is gone for every worker, also its content and its share of the quota."""
    one = stores()
    service = service_of(one, Room(len(CONTENT) + LEAST_BYTES, 100))
    file = store(service)
    service.delete(ALICE, file.id)
    other = service_of(stores())
    with pytest.raises(StoredFileNotFound):
        other.find(ALICE, file.id)
    with pytest.raises(StoredFileNotFound):
        other.read(file)
    assert store(service).size == len(CONTENT)


def test_expiry(stores):
    """An expired file is gone at once, and its content when the service tidies up."""
    one = stores()
    service = service_of(one)
    kept, expired = store(service), store(service, seconds=-1)
    assert service.list(ALICE) == [kept]
    with pytest.raises(StoredFileNotFound):
        service.find(ALICE, expired.id)
    service.tidy()
    assert one.contents.read(expired.id, 0, 1) is None
    assert one.records.all(ALICE) == [kept]
    assert content(service, kept) == CONTENT


def test_bytes_of_a_key(stores):
    """The files of a key have their room together, also those that are still being stored."""
    service = service_of(stores(), Room(2 * (len(CONTENT) + LEAST_BYTES), 100))
    store(service)
    with (
        service.upload(ALICE, len(CONTENT) + FORM_BYTES),
        pytest.raises(QuotaExceeded, match="FILES_MAX_BYTES"),
    ):
        store(service)
    assert store(service, owner=BOB).owner == BOB
    assert store(service).size == len(CONTENT)
    with pytest.raises(QuotaExceeded), service.upload(ALICE, FORM_BYTES + 1):
        pass


def test_bytes_that_were_not_announced(stores, monkeypatch):
    """A file of unknown length reserves its room as it grows."""
    monkeypatch.setattr(uploads, "STEP_BYTES", 1000)
    one = stores()
    service = service_of(one, Room(LEAST_BYTES + 250_000, 100))
    with pytest.raises(QuotaExceeded):
        store(service)
    assert service.list(ALICE) == []
    assert store(service, CONTENT[:250_000]).size == 250_000


def test_number_of_files(stores):
    """A key may have a number of files."""
    service = service_of(stores(), Room(10**9, 2))
    store(service, b"1")
    store(service, b"2")
    with pytest.raises(QuotaExceeded):
        store(service, b"3")
    assert len(service.list(ALICE)) == 2


def test_too_large(stores):
    """A file that is too large is refused, before it is sent where its length is known."""
    service = service_of(stores(), most=len(CONTENT) - 1)
    with pytest.raises(RequestTooLarge, match="FILE_MAX_BYTES"):
        store(service)
    with pytest.raises(RequestTooLarge):
        service.upload(ALICE, len(CONTENT) + FORM_BYTES)
    assert service.list(ALICE) == []


def test_a_cut_upload(stores):
    """An upload that ends early leaves nothing behind."""
    one = stores()
    service = service_of(one)
    upload = service.upload(ALICE)
    with pytest.raises(ConnectionError):
        _fail_in(upload)
    assert one.contents.read(upload.id, 0, 1) is None
    assert not one.records.expired(time.time() + 10 * TTL)


def _fail_in(upload):
    with upload:
        upload.write(CONTENT)
        raise ConnectionError


def test_a_dead_upload(stores):
    """What a killed worker leaves of an upload is deleted once its reservation has expired."""
    one = stores()
    service = service_of(one)
    dead = service.upload(ALICE).__enter__()
    dead.write(CONTENT)
    dead._writer.finish(time.time() + TTL)  # the system closes a dead process's files
    one.records.reserve(ALICE, dead.id, 1, time.time() - 1, MANY)
    service.tidy()
    assert one.contents.read(dead.id, 0, 1) is None
    assert not one.records.expired(time.time() + 10 * TTL)


def test_failing_disk(tmp_path):
    """If a file cannot grow, its upload is refused, and nothing is left of it."""
    folder = tmp_path / "files"
    stores = Stores(SqliteFileRecords(str(tmp_path / "files.db")), DirectoryContents(str(folder)))
    service = service_of(stores)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
    try:
        with pytest.raises(Unavailable) as caught:  # EFBIG; see below for ENOSPC
            store(service)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "FILES_DIR: " in caught.value.message
    assert str(tmp_path) not in caught.value.message
    assert list(folder.iterdir()) == []
    assert service.list(ALICE) == []
    stores.records.close()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_no_space(tmp_path, number):
    """ENOSPC and EDQUOT are a 507, which does not name the directory."""

    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(number, "No space", str(tmp_path))

        def close(self):
            if not self.closed:
                super().close()
                raise OSError(number, "No space", str(tmp_path))

    contents = DirectoryContents(str(tmp_path))
    writer = contents.create("file-1")
    writer._file.close()
    writer._file = Full()
    with pytest.raises(StorageFull, match=r"^FILES_DIR: No space; .* make room$"):
        writer.write(b"x")
    with pytest.raises(StorageFull):
        writer.finish(0)
    writer.close()


def test_full_disk_of_records(tmp_path):
    """If the records cannot be written, that is a 507, too."""
    records = SqliteFileRecords(str(tmp_path / "files.db"))
    records.reserve(ALICE, "file-1", 1, time.time(), MANY)
    with records._file.opened() as connection:
        connection.execute("PRAGMA max_page_count = 1")
    long = "o" * 100_000
    with pytest.raises(StorageFull, match=r"FILES_DIR: .*make room"):
        records.reserve(long, "file-2", 1, time.time(), MANY)
    records.close()


def test_full_redis(redis_server):
    """If Redis has no memory left, the upload is refused with 507, and nothing is left of it."""
    prefix = f"test-{uuid.uuid4().hex}"
    url = redis_server.url
    stores = Stores(RedisFileRecords(url, prefix), RedisContents(url, prefix))
    with Redis.from_url(url, decode_responses=True) as client:
        used = int(client.info("memory")["used_memory"])
        client.config_set("maxmemory", used + 3 * PIECE_BYTES)
        try:
            with pytest.raises(StorageFull, match=r"SESSION_STORE: [^()]*maxmemory"):
                store(service_of(stores), CONTENT * 8)
        finally:
            client.config_set("maxmemory", 0)
        assert list(client.scan_iter(f"{prefix}:*")) == []
    stores.records.close()
    stores.contents.close()


@pytest.mark.parametrize("folder", ["/proc/files", "~nobody-of-this-name/files"])
def test_a_wrong_directory(folder):
    """A directory that cannot be made is a 503 with what to do."""
    service = open_files(Settings(files_dir=folder))
    with pytest.raises(Unavailable, match="FILES_DIR: "), service.upload(ALICE):
        pass
    service.close()


def test_lost_redis():
    """Without Redis, every request for files is a 503."""
    service = open_files(Settings(session_store="redis://127.0.0.1:1/0"))
    for act in (lambda: service.list(ALICE), lambda: store(service)):
        with pytest.raises(Unavailable, match="SESSION_STORE: "):
            act()
    service.close()


def test_what_settings_choose(tmp_path):
    """A Redis keeps files unless FILES_DIR is set, which then keeps their contents."""
    kinds = {}
    for store_, folder in (("memory", ""), ("redis://r/0", ""), ("redis://r/0", str(tmp_path))):
        service = open_files(Settings(session_store=store_, files_dir=folder))
        stores = service._stores
        kinds[store_, bool(folder)] = (type(stores.records), type(stores.contents))
        service.close()
    assert kinds == {
        ("memory", False): (SqliteFileRecords, DirectoryContents),
        ("redis://r/0", False): (RedisFileRecords, RedisContents),
        ("redis://r/0", True): (RedisFileRecords, DirectoryContents),
    }
