"""The Redis store: jobs that workers on several machines share."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from wrapper.json_text import Json
from wrapper.services.jobs import redis_scripts as scripts
from wrapper.services.jobs.job import Job, JobContent, JobState, JobStatus, JobView
from wrapper.services.jobs.store import REPORT_AT_ONCE, UNREPORTED_TTL, Counts, Room, priority
from wrapper.services.listing import Key
from wrapper.services.redis_client import StoreRedis

PREFIX = "claude-code-gateway:jobs"
# How many jobs are forgotten in one step.
EXPIRE_AT_ONCE = 100


@dataclass(frozen=True)
class RedisJobKeys:
    """The keys below *prefix*. They are quoted, so that no owner or id reaches another's."""

    prefix: str

    def job(self, id_: str) -> str:
        return f"{self.prefix}:job:{quote(id_, safe='')}"

    def index(self, owner: str) -> str:
        return f"{self.prefix}:owner:{quote(owner, safe='')}"

    def shared(self, name: str) -> str:
        return f"{self.prefix}:{name}"

    def all(self, id_: str, owner: str) -> tuple[str, ...]:
        """Return the KEYS of all scripts."""
        names = ("waiting", "running", "counts", "ranks", "workers", "ended")
        shared = map(self.shared, names)
        last = map(self.shared, ("unreported", "all"))
        return (self.job(id_), *shared, self.index(owner), *last)


class RedisJobStore:
    """A JobStore in the Redis that *redis* reaches, whose replies are bytes."""

    def __init__(
        self, redis: StoreRedis, prefix: str = PREFIX, clock: Callable[[], float] = time.time
    ):
        self._redis = redis
        self._keys = RedisJobKeys(prefix)
        self._clock = clock

    def add(self, job: Job, content: JobContent, room: Room) -> float | None:
        fields = {
            "kind": job.kind,
            "owner": job.owner,
            "request": content.request,
            "summary": content.summary,
            "ttl": job.ttl,
            "resumes": int(job.resumes),
            "created_at": repr(job.created_at),
            "status": JobStatus.QUEUED.value,
            **dict.fromkeys(("started_at", "ended_at", "worker", "error"), ""),
            "cancel_requested": 0,
        }
        flat = [part for pair in fields.items() for part in pair]
        limits = (room.jobs, room.bytes - content.size, self._keys.job(""))
        created_at = repr(job.created_at)
        rank = self._run(scripts.ADD, job.id, *limits, created_at, *flat, owner=job.owner)
        return None if rank is None else priority(float(rank), resumes=job.resumes)

    def find(self, id_: str) -> JobView | None:
        with self._redis.reached() as client:
            values: Any = client.hmget(self._keys.job(id_), [*scripts.FIELDS])
        return _view(id_, values) if values[0] is not None else None

    def request(self, id_: str) -> bytes | None:
        return self._content(id_, "request")

    def summary(self, id_: str) -> bytes | None:
        return self._content(id_, "summary")

    def ids(self, owner: str) -> Sequence[str]:
        with self._redis.reached() as client:
            ids: Any = client.zrange(self._keys.index(owner), 0, -1, desc=True)
        return [id_.decode() for id_ in ids]

    def keys(self, most: int) -> Sequence[Key]:
        with self._redis.reached() as client:
            members: Any = client.zrange(self._keys.shared("all"), 0, most - 1, desc=True)
        return [_key(member) for member in members]

    def begin(self, id_: str, worker: str, until: float) -> JobContent | None:
        content = self._run(scripts.BEGIN, id_, worker, self._now(), until)
        return None if content is None else JobContent(*content)

    def put_back(self, id_: str) -> float | None:
        rank = self._run(scripts.PUT_BACK, id_)
        view = None if rank is None else self.find(id_)
        return priority(float(rank), resumes=view.job.resumes) if view else None

    def end(self, id_: str, status: JobStatus, error: Json | None = None) -> JobView | None:
        text = "" if error is None else json.dumps(error)
        values = self._run(scripts.END, id_, status.value, text, self._now())
        return None if values is None else _view(id_, values)

    def cancel(self, id_: str) -> JobView | None:
        values = self._run(scripts.CANCEL, id_, self._now())
        return None if values is None else _view(id_, values)

    def unreported(self, seconds: float) -> Sequence[JobView]:
        key, until = self._keys.shared("unreported"), self._clock() - seconds
        with self._redis.reached() as client:
            ids: Any = client.zrange(key, "-inf", until, byscore=True, offset=0, num=REPORT_AT_ONCE)
        views = (self.find(id_.decode()) for id_ in ids)
        return [view for view in views if view]

    def mark_reported(self, id_: str) -> bool:
        with self._redis.reached() as client:
            return bool(client.zrem(self._keys.shared("unreported"), id_))

    def delete(self, id_: str) -> bool:
        view = self.find(id_)
        return bool(view and self._run(scripts.DELETE, id_, owner=view.job.owner))

    def stopped(self, ids: Collection[str]) -> set[str]:
        with self._redis.reached() as client:
            pipeline = client.pipeline(transaction=False)
            for id_ in ids:
                pipeline.hmget(self._keys.job(id_), ["status", "cancel_requested"])
            states = pipeline.execute()
        going_on = [b"in_progress", b"0"]
        return {id_ for id_, state in zip(ids, states, strict=True) if [*state] != going_on}

    def beat(self, worker: str, until: float) -> None:
        with self._redis.reached() as client:
            client.zadd(self._keys.shared("workers"), {worker: until})

    def alive(self, worker: str) -> bool:
        with self._redis.reached() as client:
            until: Any = client.zscore(self._keys.shared("workers"), worker)
        return until is not None and until > self._clock()

    def orphans(self) -> Sequence[JobView]:
        alive, running = self._alive(), self._running()
        views = (self.find(id_) for id_, worker in running.items() if worker not in alive)
        return [view for view in views if view and view.in_progress]

    def waiting(self) -> Mapping[str, float]:
        with self._redis.reached() as client:
            pairs: Any = client.zrange(self._keys.shared("waiting"), 0, -1, withscores=True)
        return {id_.decode(): -score for id_, score in pairs}

    def counts(self) -> Mapping[str, Counts]:
        with self._redis.reached() as client:
            numbers: Any = client.hgetall(self._keys.shared("counts"))
        counts: dict[str, dict[str, int]] = {}
        for name, number in numbers.items():
            kind, _, state = name.decode().rpartition(" ")
            counts.setdefault(kind, {})[state] = int(number)
        return {kind: Counts(**states) for kind, states in counts.items()}

    def expire(self) -> None:
        ended, now = self._keys.shared("ended"), self._clock()
        with self._redis.reached() as client:
            members: Any = client.zrange(
                ended, "-inf", now, byscore=True, offset=0, num=EXPIRE_AT_ONCE
            )
            pipeline = client.pipeline(transaction=False)
            pipeline.zremrangebyscore(self._keys.shared("workers"), "-inf", now)
            unreported = self._keys.shared("unreported")
            pipeline.zremrangebyscore(unreported, "-inf", now - UNREPORTED_TTL)
            for member in members:
                owner, id_ = _key(member)
                pipeline.delete(self._keys.job(id_))
                pipeline.zrem(self._keys.index(owner), id_)
                pipeline.zrem(ended, member)
                pipeline.zrem(self._keys.shared("all"), member)
            pipeline.execute()

    def exists(self) -> bool:
        return True

    def health(self) -> dict[str, Any]:
        return self._redis.health()

    def close(self) -> None:
        self._redis.close()

    def _alive(self) -> set[bytes]:
        with self._redis.reached() as client:
            workers = self._keys.shared("workers")
            found: Any = client.zrange(workers, f"({self._now()}", "+inf", byscore=True)
        return {*found}

    def _running(self) -> dict[str, bytes | None]:
        """Return the jobs that run, with their workers."""
        with self._redis.reached() as client:
            found: Any = client.zrange(self._keys.shared("running"), 0, -1)
            ids = [id_.decode() for id_ in found]
            pipeline = client.pipeline(transaction=False)
            for id_ in ids:
                pipeline.hget(self._keys.job(id_), "worker")
            return dict(zip(ids, pipeline.execute(), strict=True))

    def _run(self, script: str, id_: str, *arguments: Any, owner: str = "") -> Any:
        with self._redis.reached() as client:
            call = client.register_script(script)
            return call(keys=self._keys.all(id_, owner), args=[id_, *arguments])

    def _now(self) -> str:
        return repr(self._clock())

    def _content(self, id_: str, field: str) -> bytes | None:
        with self._redis.reached() as client:
            content: Any = client.hget(self._keys.job(id_), field)
        return None if content is None else bytes(content)


def _key(member: bytes) -> Key:
    """Return the owner and the id in a member of an index of all owners' jobs."""
    owner, _, id_ = member.decode().rpartition(" ")
    return owner, id_


def _view(id_: str, values: Sequence[bytes]) -> JobView:
    fields = dict(zip(scripts.FIELDS, values, strict=True))

    def text(name: str) -> str:
        return fields[name].decode()

    def seconds(name: str) -> float | None:
        return float(text(name)) if text(name) else None

    resumes = text("resumes") == "1"
    job = Job(
        id_,
        text("kind"),
        text("owner"),
        int(text("ttl")),
        resumes,
        float(text("created_at")),
    )
    state = JobState(
        JobStatus(text("status")),
        seconds("started_at"),
        seconds("ended_at"),
        text("cancel_requested") == "1",
        text("worker"),
        json.loads(text("error")) if text("error") else None,
    )
    waits = text("waits") == "1"
    return JobView(job, state, priority(float(text("rank")), resumes=resumes) if waits else None)
