"""Jobs that are put off: each once, and more of them for longer."""

from __future__ import annotations

from wrapper.services.jobs.deferred import AT_ONCE, DEFER, DeferredJobs
from wrapper.services.jobs.job import Job, JobState, JobView


def view(id_, owner="alice"):
    return JobView(Job(id_, "test", owner, 60, created_at=0.0), JobState(), -1.0)


def test_deferred():
    """A job is put off once until its time has come; its owner's first one can be had early."""
    now = 0.0
    jobs = DeferredJobs(lambda: now)
    assert jobs.pop("alice") is None
    assert jobs.add(view("a")) == DEFER
    assert jobs.add(view("a")) is None
    assert jobs.add(view("b")) == DEFER * (1 + 1 / AT_ONCE)
    assert jobs.add(view("c", "bob")) == DEFER
    assert jobs.pop("alice") == view("a")
    assert jobs.add(view("a")) is not None
    assert jobs.pop("alice") == view("b")
    now = 10 * DEFER
    assert jobs.add(view("a")) == DEFER


def test_pace():
    """However many jobs an owner has, only so many a second are tried."""
    jobs = DeferredJobs(lambda: 0.0)
    times = [jobs.add(view(f"job_{number}")) or 0.0 for number in range(1000)]
    for second in range(10):
        assert len([time for time in times if second <= time < second + 1]) <= AT_ONCE
