"""A process that runs batches, with a stand-in for the gateway's answers."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.support.server import eventually
from wrapper.services.batches.batch import ENDED, BatchRequest
from wrapper.services.batches.redis_store import RedisBatchStore
from wrapper.services.batches.service import BatchService
from wrapper.services.batches.sqlite_store import SqliteBatchStore
from wrapper.services.batches.store import BatchStore
from wrapper.services.batches.view import BatchView
from wrapper.services.files.directory_contents import DirectoryContents
from wrapper.services.files.service import FileService
from wrapper.services.files.sqlite_records import SqliteFileRecords
from wrapper.services.files.store import Room
from wrapper.services.files.upload import Stores
from wrapper.services.jobs.answer import Answer
from wrapper.services.jobs.queue import JobQueue, Storage
from wrapper.services.jobs.records import JobRecords
from wrapper.services.jobs.redis_queue import RedisQueueStorage
from wrapper.services.jobs.redis_store import RedisJobStore
from wrapper.services.jobs.reports import EndReports
from wrapper.services.jobs.running import Worker
from wrapper.services.jobs.service import Jobs
from wrapper.services.jobs.sqlite_queue import SqliteQueueStorage
from wrapper.services.jobs.sqlite_store import SqliteJobStore
from wrapper.services.jobs.store import JobStore
from wrapper.services.jobs.store import Room as JobRoom
from wrapper.services.principal import Principal
from wrapper.services.redis_client import RedisClient, StoreRedis
from wrapper.services.telemetry.metrics import NullMetrics

ALICE = Principal("alice")
CHAT = "/v1/chat/completions"
# What a stand-in gets: the request's body, and whether nobody wants its answer any more.
Respond = Callable[[dict[str, Any], Callable[[], bool]], Answer]


def answer(
    status: int = 200, body: Any = None, *, retry_after: float | None = None, **headers: str
) -> Answer:
    """Return an answer of the gateway's, with *body* as JSON."""
    data = json.dumps({"ok": True} if body is None else body).encode()
    return Answer(status, headers, iter([data]), lambda: None, retry_after)


def refuse_for_budget(**headers: str) -> Answer:
    """Return the answer to a request that a budget refuses which is used up."""
    refused = {"error": {"code": "insufficient_quota", "message": "used up"}}
    return replace(answer(429, refused), headers=headers, out_of_budget=True)


def line(custom_id: str, **changes: Any) -> bytes:
    """Return a line of an input file."""
    value = {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": {"id": custom_id}}
    return json.dumps({**value, **changes}).encode() + b"\n"


class BatchProcess:
    """A process of those that share *folder*. It answers requests with *respond*.

    Jobs and batches are in a file of it, or in the Redis at *url*. `asked` are the ids of the lines
    that it was asked for, and `announced` the ends of batches.
    """

    def __init__(
        self,
        folder: Path,
        respond: Respond,
        most: int,
        url: str = "",
    ):
        self.respond = respond
        self.asked: list[str] = []
        self.announced: list[tuple[str, str, str]] = []
        self.draining = False
        self.revoked = False  # whether Alice's key is
        self.lock = threading.Lock()
        records = SqliteFileRecords(str(folder / "files.db"))
        self.stores = Stores(records, DirectoryContents(str(folder / "files")))
        self.files = FileService(self.stores, Room(10**9, 1000), 10**9, 100_000)
        self.job_store, queue, self.store = _open_stores(folder, url)
        self.jobs = Jobs(
            JobRecords(self.job_store, JobQueue(queue), EndReports(self.job_store, NullMetrics())),
            Worker(f"worker_{uuid.uuid4().hex}", self._dispatch, lambda: self.draining),
            lambda name: ALICE if name == ALICE.name and not self.revoked else None,
            most=most,
            room=JobRoom(100, 10**6),
        )
        self.batches = BatchService(self.store, self.files, self.jobs, self._announce)

    def _dispatch(
        self,
        principal: Principal,
        path: str,
        body: bytes,
        *,
        gone: Callable[[], bool],
        headers: Mapping[str, str] = {},
    ) -> Answer:
        assert path == CHAT.removeprefix("/v1")
        value = json.loads(body)
        with self.lock:
            self.asked.append(value.get("id"))
        return self.respond(value, gone)

    def _announce(self, owner: str, type_: str, id_: str, stored: Callable[[], None]) -> None:
        self.announced.append((owner, type_, id_))
        stored()

    def upload(self, *lines: bytes, purpose: str = "batch") -> str:
        with self.files.upload(ALICE.name) as upload:
            for each in lines:
                upload.write(each)
            return upload.finish("questions.jsonl", purpose, 3600).id

    def create(self, *lines: bytes, **values: Any) -> str:
        """Begin a batch of these lines, and return its id."""
        request = BatchRequest(self.upload(*lines), CHAT, **values)
        return self.batches.create(ALICE.name, request).job.job.id

    def view(self, id_: str) -> BatchView:
        return self.batches.read(ALICE.name, id_)

    def ended(self, id_: str) -> dict[str, Any]:
        """Wait until the batch has ended, and return it as its owner sees it."""
        assert eventually(lambda: self.view(id_).status in ENDED and self.view(id_).job.ended)
        return self.view(id_).body()

    def results(self, id_: str) -> tuple[list[Any], list[Any]]:
        """Return the lines of the output file and of the error file."""
        body = self.ended(id_)
        output, errors = (self._lines(body[f"{name}_file_id"]) for name in ("output", "error"))
        return output, errors

    def _lines(self, id_: str | None) -> list[Any]:
        if id_ is None:
            return []
        pieces = self.files.read(self.files.find(ALICE.name, id_))
        try:
            return [json.loads(each) for each in b"".join(pieces).splitlines()]
        finally:
            pieces.close()

    def die(self) -> None:
        """Vanish as a killed process does: its lease is over, and it tells nobody of its lines."""
        self.jobs.close()
        self.job_store.beat(self.jobs._worker.id, time.time() - 1)

    def close(self) -> None:
        self.jobs.close()
        self.jobs.wait_until_idle(30)
        self.batches.close()
        self.files.close()
        self.job_store.close()


def _open_stores(folder: Path, url: str) -> tuple[JobStore, Storage, BatchStore]:
    path, prefix = str(folder / "jobs.db"), f"test-{uuid.uuid5(uuid.NAMESPACE_URL, str(folder))}"
    if not url:
        return SqliteJobStore(path), SqliteQueueStorage(path), SqliteBatchStore(path)
    redis = StoreRedis(RedisClient(url, "SESSION_STORE", decode=False), "jobs")
    return (
        RedisJobStore(redis, prefix),
        RedisQueueStorage(redis, prefix),
        RedisBatchStore(url, prefix),
    )
