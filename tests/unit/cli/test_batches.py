"""The command that shows a batch's progress."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.scripted_server import ScriptedServer
from wrapper.cli import batches
from wrapper.errors import ApiError, BatchNotFound
from wrapper.services.batches.batch import BatchRequest, BatchState
from wrapper.services.batches.view import BatchView
from wrapper.services.jobs.job import Job, JobState, JobStatus, JobView
from wrapper.services.store_health import StoreFailed

JOB = Job("batch_1", "batch", "alice", 60, resumes=True)
RUNS = JobView(JOB, JobState(JobStatus.IN_PROGRESS, 1.0))
ENDED = JobView(JOB, JobState(JobStatus.COMPLETED, 1.0, 2.0))


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(batches, "LOOK", 0)
    return ScriptedServer()


def view(job, status, **numbers):
    facts = numbers.pop("facts", {})
    state = BatchState(**numbers, facts={"status": status, **facts})
    return BatchView(job, BatchRequest("file-1", "/v1/responses"), state)


def run(server, *arguments):
    return server.app.test_cli_runner().invoke(args=["gateway", "batches", *arguments])


def test_watch(server, monkeypatch):
    """It looks until the batch has ended, and says how that was."""
    running = view(RUNS, "in_progress", total=4, completed=1)
    paused = replace(running, state=replace(running.state, facts={"paused": {"since": 1}}))
    looks = [
        view(RUNS, "validating"),
        running,
        paused,
        view(ENDED, "completed", total=4, completed=3, failed=1),
    ]
    service = server.app.extensions["wrapper"].work.batches
    monkeypatch.setattr(service, "watch", lambda id_: looks.pop(0))
    result = run(server, "watch", "batch_1")
    assert result.exit_code == 0, result.output
    assert result.output.endswith("completed: 3 answers and 1 errors\n")
    assert looks == []


def test_an_unknown_batch(server):
    """An id that no batch has is an error in a line."""
    result = run(server, "watch", "batch_1")
    assert (result.exit_code, result.output) == (1, "Error: there is no batch 'batch_1'\n")


@pytest.mark.parametrize(
    "error", [StoreFailed("It is away", "jobs.db"), BatchNotFound("It is gone")]
)
def test_errors(server, monkeypatch, error):
    """A store that is away, or a batch that expires, is an error in a line while it looks."""
    looks = [view(RUNS, "in_progress", total=4), error]

    def look(id_):
        looked = looks.pop(0)
        if isinstance(looked, ApiError):
            raise looked
        return looked

    monkeypatch.setattr(server.app.extensions["wrapper"].work.batches, "watch", look)
    result = run(server, "watch", "batch_1")
    assert result.exit_code == 1
    assert result.output.endswith(f"Error: {error.details or error.message}\n")
