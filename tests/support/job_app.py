"""An app whose jobs wait until Redis has the key `go`, for `flask --app … gateway worker`."""

from __future__ import annotations

import os

from flask import Flask
from redis import Redis

from wrapper import create_app
from wrapper.services.jobs.job import JobStatus
from wrapper.services.jobs.running import RunningJob
from wrapper.testing import ScriptedEngine


def make() -> Flask:
    """Return the app. Redis lists the jobs that have begun, with their process, in `begun`."""
    app = create_app(engine=ScriptedEngine())
    redis = Redis.from_url(os.environ["SESSION_STORE"], decode_responses=True)

    def run(job: RunningJob) -> None:
        redis.rpush("begun", f"{job.job.id} {os.getpid()}")
        while not (redis.exists("go") or job.wait(0.1)):
            pass
        job.end(JobStatus.CANCELLED if job.cancelled() else JobStatus.COMPLETED)

    app.extensions["wrapper"].jobs.handle("test", run)
    return app
