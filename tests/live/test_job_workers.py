"""Two workers with a Redis: each job begins once, and none is lost when a worker is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.support.redis_server import RedisServer
from tests.support.server import DEADLINE, ROOT, eventually
from wrapper.services.jobs.answer import Answer
from wrapper.services.jobs.job import Job
from wrapper.services.jobs.queue import JobQueue
from wrapper.services.jobs.redis_queue import RedisQueueStorage
from wrapper.services.jobs.redis_store import RedisJobStore
from wrapper.services.jobs.running import Worker
from wrapper.services.jobs.service import Jobs
from wrapper.services.principal import LOCAL
from wrapper.services.redis_client import RedisClient, StoreRedis
from wrapper.services.telemetry.metrics import NullMetrics

APP = "tests.support.job_app:make()"


class Fleet:
    """Workers with the Redis of *server*, and the web process that hands jobs to them."""

    def __init__(self, server: RedisServer, folder: Path):
        self.redis: Any = Redis.from_url(server.url, decode_responses=True)
        self._log = (folder / "log").open("wb")
        self._folder = folder
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "SESSION_STORE": server.url,
            "BACKGROUND_TURNS": "3",
            "GRACEFUL_TIMEOUT": "60",
            "CONSOLE": "false",
        }
        store = StoreRedis(RedisClient(server.url, "SESSION_STORE", decode=False), "jobs")
        self.jobs = Jobs(
            RedisJobStore(store),
            JobQueue(RedisQueueStorage(store)),
            Worker("web", _no_answer, lambda: False),
            lambda name: LOCAL,
            NullMetrics(),
            most=0,
            most_of_key=100,
        )
        self.workers = [self._start() for _ in range(2)]

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", APP, "gateway", "worker"],
            cwd=self._folder,
            env=self._environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def submit(self, *ids: str) -> None:
        for id_ in ids:
            self.jobs.submit(Job(id_, "test", LOCAL.name, b"{}", 600))

    def status(self, id_: str) -> str:
        view = self.jobs.find(LOCAL.name, id_)
        assert view
        return str(view.state.status)

    def begun(self) -> dict[str, int]:
        """Return the jobs that have begun, with their processes."""
        pairs: Any = (text.split(" ") for text in self.redis.lrange("begun", 0, -1))
        return {id_: int(pid) for id_, pid in pairs}

    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait(DEADLINE)
        self._log.close()
        self.jobs.close()
        self.redis.close()


def _no_answer(*_: object, **__: object) -> Answer:
    raise AssertionError("the web process runs no jobs")


@pytest.fixture
def fleet(redis_server, tmp_path):
    """Return two workers with an empty Redis."""
    made = Fleet(redis_server, tmp_path)
    made.redis.flushall()
    yield made
    made.close()
    with Redis.from_url(redis_server.url) as client:
        client.flushall()


def test_workers(fleet):
    """Each job begins once. A killed worker's jobs fail, a stopped one's finish, others go on."""
    first = [f"job_{number}" for number in range(9)]
    fleet.submit(*first)
    assert eventually(lambda: len(fleet.begun()) == 4), fleet.log()
    killed, stopped = fleet.workers
    pids = Counter(fleet.begun().values())
    assert pids == {killed.pid: 2, stopped.pid: 2}

    killed.send_signal(signal.SIGKILL)
    lost = [id_ for id_, pid in fleet.begun().items() if pid == killed.pid]
    assert eventually(lambda: {fleet.status(id_) for id_ in lost} == {"failed"}), fleet.log()
    view = fleet.jobs.find(LOCAL.name, lost[0])
    assert view.state.error["code"] == "worker_lost"

    cancelled = next(id_ for id_, pid in fleet.begun().items() if pid == stopped.pid)
    fleet.jobs.cancel(LOCAL.name, cancelled)
    assert eventually(lambda: fleet.status(cancelled) == "cancelled"), fleet.log()
    assert eventually(lambda: len(fleet.begun()) == 5), fleet.log()

    stopped.send_signal(signal.SIGTERM)
    assert eventually(lambda: "the worker shuts down" in fleet.log())
    fleet.redis.set("go", 1)
    assert stopped.wait(DEADLINE) == 0, fleet.log()
    statuses = Counter(fleet.status(id_) for id_ in first)
    begun = len(fleet.begun())
    assert statuses == {"failed": 2, "cancelled": 1, "completed": begun - 3, "queued": 9 - begun}
    assert len(fleet.redis.lrange("begun", 0, -1)) == begun

    fleet.workers.append(fleet._start())
    assert eventually(lambda: all(fleet.status(id_) != "queued" for id_ in first)), fleet.log()
    assert len(fleet.redis.lrange("begun", 0, -1)) == 9


def test_refused_settings(tmp_path):
    """A worker without a store that others share, or without jobs, says so and does not start."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "WRAPPER_ENGINE": "claude",
        "CLAUDE_CLI_PATH": "/bin/true",
        "BACKGROUND_TURNS": "0",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "wrapper", "worker"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert ended.returncode == 1
    assert "SESSION_STORE: several workers do not share memory" in ended.stderr
    assert "BACKGROUND_TURNS: 0 runs no jobs" in ended.stderr
