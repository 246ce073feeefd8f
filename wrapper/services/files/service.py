"""The service of files: callers store, list, read and delete their own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from wrapper.errors import QuotaExceeded
from wrapper.services.background.periodic import PeriodicTask
from wrapper.services.files.directory_contents import DirectoryContents
from wrapper.services.files.file import FILE_ID, StoredFile, missing, new_file_id
from wrapper.services.files.redis_contents import RedisContents
from wrapper.services.files.redis_records import RedisFileRecords
from wrapper.services.files.sqlite_records import SqliteFileRecords
from wrapper.services.files.store import LEAST_BYTES, FileContents, FileRecords, Pieces, Room
from wrapper.services.files.upload import RESERVED_SECONDS, Stores, Upload, too_large
from wrapper.services.listing import Listing, ListQuery
from wrapper.services.principal import Principal
from wrapper.services.usage.access import readable_key
from wrapper.settings import FILES_DIR, Settings

# The files that a key may have.
MOST_FILES = 10_000
# The list of all keys has so many files at most.
MOST_LISTED = 5000
# A body has so many bytes more than its file, at most.
FORM_BYTES = 64 * 1024
TIDY_SECONDS = 300.0
# More than a store can hold.
UNLIMITED = Room(2**53, 2**53)


class FileService:
    """The files in *stores*. An owner may have *room* for them, and a file *most* bytes.

    A file is kept for at most *ttl* seconds.
    """

    def __init__(self, stores: Stores, room: Room, most: int, ttl: int):
        self.most = most
        self.ttl = ttl
        self._stores = stores
        self.room = room
        self._tidying = PeriodicTask(self.tidy, TIDY_SECONDS)

    def start(self) -> None:
        """Delete files that have expired, from now on, if there may be any yet."""
        if self._stores.records.exists():
            self._tidying.start()

    def upload(self, owner: str, length: int | None = None) -> Upload:
        """Return a new file, which its body of *length* bytes fills, if that is known.

        Raises RequestTooLarge, QuotaExceeded, StorageFull or Unavailable, as entering it does.
        """
        expected = max(0, (length or 0) - FORM_BYTES)
        if expected > self.most:
            raise too_large(self.most)
        self._tidying.start()
        reserve = partial(self._reserve, owner, self.room)
        return Upload(self._stores, owner, self.most, reserve, expected)

    def result(self, owner: str) -> Upload:
        """Return a new file for results, which no limit refuses, as they would be lost.

        Raises StorageFull or Unavailable, as entering it does.
        """
        return Upload(
            self._stores, owner, UNLIMITED.bytes, partial(self._reserve, owner, UNLIMITED)
        )

    def check_room(self, owner: str) -> None:
        """Raise QuotaExceeded if the owner has no room for another file."""
        id_ = new_file_id()
        self._reserve(owner, self.room, id_, 0)
        self._stores.records.delete(owner, id_)

    def find(self, owner: str, id_: str) -> StoredFile:
        """Return a file. Raises StoredFileNotFound."""
        file = self._stores.records.find(owner, id_) if FILE_ID.fullmatch(id_) else None
        if file is None or file.expires_at <= time.time():
            raise missing(id_)
        return file

    def list(self, owner: str) -> list[StoredFile]:
        """Return all files of an owner, the oldest first."""
        now = time.time()
        return [file for file in self._stores.records.all(owner) if file.expires_at > now]

    def search(self, principal: Principal, query: ListQuery) -> Listing[StoredFile]:
        """Return files of *principal*, or as an admin of all keys, the newest first.

        Raises PermissionDenied where the query has another's key and *principal* is no admin.
        """
        owner = readable_key(principal, query.key, f"the files of {query.key!r}")
        files = self.list(owner)[::-1] if owner is not None else self._of_all_keys()
        found = [file for file in files if query.matches(file.id) or query.matches(file.name)]
        return Listing(query.page_of(found), len(found), len(files), owner)

    def _of_all_keys(self) -> Sequence[StoredFile]:
        now, files = time.time(), self._stores.records.latest(MOST_LISTED)
        kept = [file for file in files if file.expires_at > now]
        return sorted(kept, key=lambda file: file.created_at, reverse=True)

    def taken(self, owner: str) -> int:
        """Return the bytes of the room that the owner's files take."""
        return sum(file.size + LEAST_BYTES for file in self.list(owner))

    def read(self, file: StoredFile, start: int = 0, stop: int | None = None) -> Pieces:
        """Return the bytes from *start* to *stop*; the caller closes them.

        Raises StoredFileNotFound, also if the file has just been deleted.
        """
        end = file.size if stop is None else stop
        pieces = self._stores.contents.read(file.id, start, end)
        if pieces is None:
            raise missing(file.id)
        return pieces

    def delete(self, owner: str, id_: str) -> None:
        """Delete a file. Raises StoredFileNotFound."""
        self._stores.delete(owner, self.find(owner, id_).id)

    def delete_all(self, owner: str) -> int:
        """Delete all files of *owner*, and return how many there were.

        Uploads that are not complete are deleted, too, and refused. Raises StorageFull or
        Unavailable.
        """
        ids = self._stores.records.ids(owner) if self._stores.records.exists() else ()
        for id_ in ids:
            self._stores.delete(owner, id_)
        return len(ids)

    def tidy(self) -> None:
        """Delete what has expired: files, and what is left of uploads that were cut off."""
        records = self._stores.records
        while expired := records.expired(time.time()):
            for owner, id_ in expired:
                self._stores.delete(owner, id_)

    def close(self) -> None:
        self._tidying.close()
        self._stores.contents.close()
        self._stores.records.close()

    def _reserve(self, owner: str, room: Room, id_: str, size: int) -> None:
        until = time.time() + RESERVED_SECONDS
        if self._stores.records.reserve(owner, id_, size, until, room):
            return
        raise QuotaExceeded(
            f"Your key has no room for this file: its files may take {room.bytes} bytes "
            f"together (FILES_MAX_BYTES), with 4096 more for each, and may be {room.files}. "
            "Delete some of them.",
            retry=False,
        )


def open_files(settings: Settings) -> FileService:
    """Return the service on the stores of *settings*."""
    room = Room(settings.files_max_bytes, MOST_FILES)
    stores = _open_stores(settings)
    return FileService(stores, room, settings.file_max_bytes, settings.files_ttl)


def _open_stores(settings: Settings) -> Stores:
    """Return the Redis of SESSION_STORE, or FILES_DIR; with both, only the contents are there."""
    folder = settings.files_dir or FILES_DIR
    records: FileRecords
    contents: FileContents = DirectoryContents(folder)
    if "://" not in settings.session_store:
        return Stores(SqliteFileRecords(f"{folder}/files.db"), contents)
    records = RedisFileRecords(settings.session_store)
    if not settings.files_dir:
        contents = RedisContents(settings.session_store)
    return Stores(records, contents)
