"""The job service: it runs jobs, cancels them at any stage, and recovers those of dead workers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import pytest

from tests.support.job_stores import RedisKind, SqliteKind
from tests.support.lost_answers import lose_once
from tests.support.redis_server import RedisServer
from tests.support.server import eventually
from tests.support.threads import no_thread
from wrapper.errors import InvalidRequest, RateLimited, RequestTooLarge, ShuttingDown, Unavailable
from wrapper.services.jobs import consumer, deferred, queue, reports, upkeep
from wrapper.services.jobs.answer import Answer
from wrapper.services.jobs.job import Job, JobContent, JobStatus, JobView
from wrapper.services.jobs.records import JobRecords
from wrapper.services.jobs.reports import EndReports
from wrapper.services.jobs.running import RunningJob, Worker
from wrapper.services.jobs.service import Jobs
from wrapper.services.jobs.steady_time import SteadyTime
from wrapper.services.jobs.store import Room
from wrapper.services.principal import Principal
from wrapper.services.telemetry.metrics import NullMetrics

SECONDS = 30.0
ALICE = Principal("alice")
CONTENT = JobContent(b"{}")
ROOM = Room(100, 10**6)


class EndCounter(NullMetrics):
    """Metrics that remember the ends of jobs."""

    def __init__(self) -> None:
        self.ends: list[str] = []

    def job_ended(self, kind: str, status: str) -> None:
        self.ends.append(status)


@dataclass
class Process:
    """A process that runs jobs as its `run` says, and the ends that it has reported."""

    kind: SqliteKind | RedisKind
    run: Callable[[RunningJob], object] = lambda job: job.end(JobStatus.COMPLETED)
    most: int = 4
    room: Room = ROOM
    principals: tuple[Principal, ...] = (ALICE,)
    answers: list[Answer] = field(default_factory=list)
    draining: bool = False
    dies: bool = False  # before a report of an end is stored
    ends: list[JobView] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ended = threading.Condition()
        self.store = self.kind.open()
        self.metrics = EndCounter()
        self.jobs = Jobs(
            JobRecords(self.store, self.kind.open_queue(), EndReports(self.store, self.metrics)),
            Worker(f"worker_{id(self)}", self._dispatch, lambda: self.draining),
            lambda name: next((one for one in self.principals if one.name == name), None),
            most=self.most,
            room=self.room,
        )
        self.jobs.handle("test", self._run, self._report)

    def _run(self, job: RunningJob) -> None:
        self.run(job)

    def _dispatch(self, *_: object, **__: object) -> Answer:
        return self.answers.pop(0)

    def _report(self, view: JobView, done: Callable[[], None]) -> None:
        if self.dies:
            return
        done()
        with self.ended:
            self.ends.append(view)
            self.ended.notify_all()

    def wait_for_ends(self, count: int = 1) -> list[str]:
        """Wait until so many jobs have ended, and return the ids and statuses of all."""
        with self.ended:
            assert self.ended.wait_for(lambda: len(self.ends) >= count, SECONDS)
        return [f"{view.job.id} {view.state.status}" for view in self.ends]


IN_BOTH = pytest.mark.parametrize("processes", ["sqlite", "redis"], indirect=True)


@pytest.fixture
def processes(request, tmp_path, monkeypatch):
    """Return a function that makes processes, which share a store; they end after the test."""
    monkeypatch.setattr(queue, "WAIT", 0.05)
    monkeypatch.setattr(deferred, "DEFER", 0.05)
    if getattr(request, "param", "sqlite") == "sqlite":
        kind: SqliteKind | RedisKind = SqliteKind(tmp_path)
    else:
        kind = RedisKind(request.getfixturevalue("redis_server").url)
    with making(kind) as make:
        yield make


@contextmanager
def making(kind: SqliteKind | RedisKind):
    """Yield a function that makes processes with stores of a *kind*."""
    kind.now = None
    with ExitStack() as stack:
        stack.callback(kind.close)

        def make(*, start: bool = True, **values) -> Process:
            process = Process(kind, **values)
            stack.callback(process.jobs.wait_until_idle, SECONDS)
            stack.callback(process.jobs.close)
            if start:
                process.jobs.start(watch=True)
            return process

        yield make


def job(id_="job_1", owner="alice", **values):
    return Job(id_, "test", owner, 60, **values)


class Gate:
    """A run that waits until the test opens it, or its job is cancelled."""

    def __init__(self) -> None:
        self.begun: list[RunningJob] = []
        self._changed = threading.Condition()
        self._open = False

    def __call__(self, job: RunningJob) -> None:
        with self._changed:
            self.begun.append(job)
            self._changed.notify_all()
            while not (self._open or job.cancelled()):
                self._changed.wait(0.05)
        job.end(JobStatus.CANCELLED if job.cancelled() else JobStatus.COMPLETED)

    def wait_for(self, count: int = 1) -> list[str]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.begun) >= count, SECONDS)
            return [job.job.id for job in self.begun]

    def open(self) -> None:
        with self._changed:
            self._open = True
            self._changed.notify_all()


@IN_BOTH
def test_run(processes):
    """A job runs with its owner's principal, and its end is reported once."""
    seen = []

    def run(running):
        seen.append((running.job, running.content, running.principal))
        assert running.end(JobStatus.INCOMPLETE)
        assert not running.end(JobStatus.COMPLETED)

    process = processes(run=run)
    asked = job()
    process.jobs.submit(asked, CONTENT)
    assert process.wait_for_ends() == ["job_1 incomplete"]
    assert seen == [(asked, CONTENT, ALICE)]
    assert process.jobs.find("alice", "job_1") == process.ends[0]
    assert process.jobs.ids("alice") == ["job_1"]


def test_owner(processes):
    """To other callers a job does not exist."""
    jobs = processes(start=False).jobs
    jobs.submit(job(), CONTENT)
    assert jobs.find("bob", "job_1") is None
    assert jobs.cancel("bob", "job_1") is None
    assert not jobs.delete("bob", "job_1")
    assert [*jobs.ids("bob")] == []
    assert jobs.find("alice", "job_1").state.status == "queued"


def test_no_file_without_jobs(processes, tmp_path):
    """A gateway without jobs makes no file."""
    process = processes()
    assert process.jobs.find("alice", "job_1") is None
    assert [*process.jobs.ids("alice")] == []
    process.jobs.close()
    assert [*tmp_path.iterdir()] == []


def test_limits(processes):
    """Too many jobs of a key are refused, and an owner whom nobody can find again."""
    jobs = processes(start=False, room=Room(1, 10)).jobs
    jobs.submit(job(), CONTENT)
    jobs.cancel("alice", "job_1")
    with pytest.raises(RateLimited, match=r"MAX_JOBS_OF_KEY.*JOBS_MAX_BYTES.* delete responses"):
        jobs.submit(job("job_2"), CONTENT)
    jobs.delete("alice", "job_1")
    jobs.submit(job("job_2"), CONTENT)
    with pytest.raises(RequestTooLarge, match=r"11 bytes .* 10 .JOBS_MAX_BYTES."):
        jobs.submit(job("job_3"), JobContent(b"x" * 10, b"y"))
    with pytest.raises(InvalidRequest, match="app around this gateway"):
        jobs.submit(job("job_3", owner="nobody"), CONTENT)


@IN_BOTH
def test_survives(processes):
    """A job that has not begun survives the end of its process, and so does its queue's loss."""
    processes(start=False).jobs.submit(job(), CONTENT)
    other = processes(start=False)
    # As if the process had died before it queued the job.
    other.store.add(job("job_2"), CONTENT, other.room)
    other.jobs.start()
    assert sorted(other.wait_for_ends(2)) == ["job_1 completed", "job_2 completed"]


def test_most(processes):
    """A process runs only so many jobs at once; another one runs the others."""
    gate = Gate()
    process = processes(run=gate, most=1)
    process.jobs.submit(job(), CONTENT)
    gate.wait_for()
    process.jobs.submit(job("job_2"), CONTENT)
    assert processes().wait_for_ends() == ["job_2 completed"]
    assert gate.wait_for() == ["job_1"]
    gate.open()
    assert process.wait_for_ends() == ["job_1 completed"]


@pytest.mark.parametrize("resumes", [False, True])
def test_share(processes, resumes):
    """One owner's jobs leave a turn free for other owners."""
    gate = Gate()
    process = processes(run=gate, most=2, principals=(ALICE, Principal("bob")))
    process.jobs.submit(job("a0", resumes=resumes), CONTENT)
    process.jobs.submit(job("a1", resumes=resumes), CONTENT)
    gate.wait_for(1)
    process.jobs.submit(job("b0", owner="bob", resumes=resumes), CONTENT)
    assert gate.wait_for(2) == ["a0", "b0"]
    gate.open()
    assert len(process.wait_for_ends(3)) == 3


def test_deferred(processes, monkeypatch):
    """A job that was put off for another one of its owner begins when that has ended."""
    monkeypatch.setattr(deferred, "DEFER", 3600.0)
    gate = Gate()
    process = processes(run=gate, principals=(Principal("alice", concurrent_turns=1),))
    process.jobs.submit(job(), CONTENT)
    gate.wait_for()
    process.jobs.submit(job("job_2"), CONTENT)
    assert eventually(lambda: process.jobs._consumer._deferred._jobs.get("alice"), SECONDS)
    gate.open()
    assert process.wait_for_ends(2) == ["job_1 completed", "job_2 completed"]


def test_idle_after_the_next_is_queued(processes, monkeypatch):
    """A process is not idle before a job that has run has put the next one into the queue."""
    monkeypatch.setattr(deferred, "DEFER", 3600.0)
    gate, putting, may_put = Gate(), threading.Event(), threading.Event()
    process = processes(run=gate, principals=(Principal("alice", concurrent_turns=1),))
    process.jobs.submit(job(), CONTENT)
    gate.wait_for()
    process.jobs.submit(job("job_2"), CONTENT)
    consuming = process.jobs._consumer
    assert eventually(lambda: consuming._deferred._jobs.get("alice"), SECONDS)
    put = consuming._try_deferred

    def slowly(owner: str) -> None:
        putting.set()
        assert may_put.wait(SECONDS)
        put(owner)

    monkeypatch.setattr(consuming, "_try_deferred", slowly)
    gate.open()
    assert putting.wait(SECONDS)
    assert not process.jobs.wait_until_idle(0.0)
    may_put.set()
    assert process.wait_for_ends(2) == ["job_1 completed", "job_2 completed"]


def test_concurrent_turns(processes):
    """An owner's jobs do not exceed the key's concurrent_turns, so that none waits for another."""
    gate = Gate()
    one = Principal("alice", concurrent_turns=1)
    process = processes(run=gate, principals=(one, Principal("bob")))
    process.jobs.submit(job("a0"), CONTENT)
    process.jobs.submit(job("a1"), CONTENT)
    gate.wait_for(1)
    process.jobs.submit(job("b0", owner="bob"), CONTENT)
    process.jobs.submit(job("b1", owner="bob"), CONTENT)
    assert sorted(gate.wait_for(3)) == ["a0", "b0", "b1"]
    gate.open()
    assert len(process.wait_for_ends(4)) == 4


def test_revoked(processes):
    """The job of a revoked key fails and does not run."""
    process = processes(start=False, run=lambda job: pytest.fail("it ran"))
    process.jobs.submit(job(), CONTENT)
    process.principals = ()
    process.jobs.start()
    assert process.wait_for_ends() == ["job_1 failed"]
    error = process.ends[0].state.error
    assert error["code"] == "invalid_api_key"
    assert "'alice' is revoked" in error["message"]


def test_crash(processes, caplog):
    """A job whose run raises or ends without a result fails; the log has the cause."""

    def run(running):
        if running.job.id == "raises":
            raise ValueError("a bug")
        if running.job.id == "refused":
            raise InvalidRequest("No.", param="input")

    process = processes(run=run)
    for id_ in ("raises", "refused", "forgets"):
        process.jobs.submit(job(id_), CONTENT)
    process.wait_for_ends(3)
    errors = {view.job.id: view.state.error["message"] for view in process.ends}
    own = "The gateway failed; its log says why."
    assert errors == {"raises": own, "refused": "No.", "forgets": own}
    assert "a bug" in caplog.text


@IN_BOTH
def test_cancel_queued(processes):
    """A queued job that is cancelled never runs, and its end is reported once."""
    process = processes(start=False, run=lambda job: pytest.fail("it ran"))
    process.jobs.submit(job(), CONTENT)
    assert process.jobs.cancel("alice", "job_1").state.status == "cancelled"
    assert process.jobs.cancel("alice", "job_1").state.status == "cancelled"
    assert process.wait_for_ends() == ["job_1 cancelled"]
    process.run = lambda job: job.end(JobStatus.COMPLETED)
    process.jobs.submit(job("job_2"), CONTENT)
    process.jobs.start()
    assert process.wait_for_ends(2) == ["job_1 cancelled", "job_2 completed"]


@IN_BOTH
@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("how", ["cancel", "delete"])
def test_stop_running(processes, elsewhere, how):
    """A running job that is cancelled or deleted, here or by another process, is stopped."""
    gate = Gate()
    process = processes(run=gate)
    asker = processes(start=False) if elsewhere else process
    asker.jobs.submit(job(), CONTENT)
    gate.wait_for()
    getattr(asker.jobs, how)("alice", "job_1")
    assert gate.begun[0].wait(SECONDS)
    assert process.jobs.wait_until_idle(SECONDS)
    view = asker.jobs.find("alice", "job_1")
    assert (view and view.state.status) == ("cancelled" if how == "cancel" else None)


@IN_BOTH
def test_again(processes):
    """A job that is put back runs again, after the time it asked for."""
    runs = []

    def run(running):
        runs.append(running.job.id)
        if len(runs) < 3:
            assert running.again(after=0.01 * (len(runs) - 1))
        else:
            running.end(JobStatus.COMPLETED)

    process = processes(run=run)
    process.jobs.submit(job(resumes=True), CONTENT)
    assert process.wait_for_ends() == ["job_1 completed"]
    assert runs == ["job_1"] * 3


def test_runs_at_once(processes):
    """A job that resumes may run again while its first run goes on, which may end it."""
    gate, runs = Gate(), []

    def run(running):
        runs.append(running)
        if len(runs) == 1:
            running.again()
            gate(running)
        else:
            gate.open()

    process = processes(run=run)
    process.jobs.submit(job(resumes=True), CONTENT)
    process.wait_for_ends()
    assert len(runs) == 2


@IN_BOTH
@pytest.mark.parametrize(
    ("resumes", "outcome"), [(False, "job_1 failed"), (True, "job_1 completed")]
)
def test_dead_worker(processes, monkeypatch, resumes, outcome):
    """A dead worker's job fails, or goes on if it resumes."""
    monkeypatch.setattr(upkeep, "LEASE", 0.0)
    monkeypatch.setattr(upkeep, "BEAT", 0.02)
    dead = processes(start=False)
    dead.jobs.submit(job(resumes=resumes), CONTENT)
    dead.store.begin("job_1", "dead", 0)
    process = processes()
    assert process.wait_for_ends() == [outcome]
    assert not process.jobs.alive("dead")
    if not resumes:
        assert process.ends[0].state.error["code"] == "worker_lost"
        assert "never run again" in process.ends[0].state.error["message"]


@IN_BOTH
def test_dead_worker_of_cancelled(processes, monkeypatch):
    """A job that was to be cancelled when its worker died is cancelled."""
    monkeypatch.setattr(upkeep, "LEASE", 0.0)
    monkeypatch.setattr(upkeep, "BEAT", 0.02)
    process = processes(start=False)
    process.jobs.submit(job(), CONTENT)
    process.store.begin("job_1", "dead", 0)
    process.jobs.cancel("alice", "job_1")
    process.jobs.start()
    assert process.wait_for_ends() == ["job_1 cancelled"]


@IN_BOTH
def test_dies_before_report(processes, monkeypatch):
    """Another worker reports and counts, once, an end that a dead worker had not reported."""
    monkeypatch.setattr(reports, "REPEAT_AFTER", 0.0)
    dead = processes(start=False, dies=True)
    dead.jobs.submit(job(), CONTENT)
    dead.store.begin("job_1", "dead", 0)
    dead.jobs._records.end("job_1", JobStatus.COMPLETED)
    other = processes(start=False)
    for _ in range(2):
        other.jobs._upkeep.tend()
    assert other.wait_for_ends() == ["job_1 completed"]
    assert (dead.metrics.ends, other.metrics.ends) == ([], ["completed"])


def test_report_fails(processes, monkeypatch, caplog):
    """An end whose report raises is logged, and not reported again."""
    monkeypatch.setattr(reports, "REPEAT_AFTER", 0.0)
    process = processes(start=False)
    process.jobs.handle("test", process.run, _raise)
    process.jobs.submit(job(), CONTENT)
    process.jobs.cancel("alice", "job_1")
    process.jobs._upkeep.tend()
    assert caplog.text.count("the end of job job_1 could not be reported") == 1


def test_recovers_late(processes, monkeypatch):
    """Nothing is recovered soon after the store was away: other workers may live."""
    monkeypatch.setattr(upkeep, "BEAT", 3600.0)
    now = 0.0
    process = processes(start=False)
    process.jobs.submit(job(), CONTENT)
    process.store.begin("job_1", "dead", 0)
    steady = SteadyTime(lambda: now, lambda: 1e9 + now)
    keeper = upkeep.Upkeep(process.jobs._records, process.jobs._consumer, "w", steady)
    keeper.tend()
    now = consumer.LEASE - 1
    keeper.tend()
    with monkeypatch.context() as patch:
        patch.setattr(process.store, "counts", _raise)
        now = consumer.LEASE + 1
        keeper.tend()
    keeper.tend()
    now += consumer.LEASE - 1
    keeper.tend()
    assert process.ends == []
    now += 1
    keeper.tend()
    assert process.wait_for_ends() == ["job_1 failed"]


def test_clock_jumps(processes, monkeypatch):
    """After a machine has slept, no job is taken for lost before its worker could say it lives."""
    monkeypatch.setattr(upkeep, "BEAT", 3600.0)
    now, slept = 0.0, 0.0
    process = processes(start=False)
    process.jobs.submit(job(), CONTENT)
    process.store.begin("job_1", "lives", 0)
    steady = SteadyTime(lambda: now, lambda: 1e9 + now + slept)
    keeper = upkeep.Upkeep(process.jobs._records, process.jobs._consumer, "w", steady)
    keeper.tend()
    now, slept = 10 * consumer.LEASE, 3600.0
    keeper.tend()
    now += consumer.LEASE - 1
    keeper.tend()
    assert process.ends == []
    now += 1
    keeper.tend()
    assert process.wait_for_ends() == ["job_1 failed"]


def _raise(*_: object) -> None:
    raise Unavailable("The disk is full.")


def test_result_outlives_failure(processes, monkeypatch):
    """While the store cannot be used, the end of a job is kept and tried again."""
    monkeypatch.setattr("wrapper.services.jobs.running.PAUSE", 0.01)
    process = processes(start=False)
    end, failures = process.store.end, iter(range(3))

    def fail(*arguments):
        if next(failures, None) is not None:
            _raise()
        return end(*arguments)

    monkeypatch.setattr(process.store, "end", fail)
    process.jobs.submit(job(), CONTENT)
    process.jobs.start()
    assert process.wait_for_ends() == ["job_1 completed"]


@IN_BOTH
def test_begun_unknown(processes, monkeypatch):
    """A job that the store has begun, but whose process was not told, runs once."""
    monkeypatch.setattr(upkeep, "BEAT", 0.05)
    runs = []

    def run(running):
        runs.append(running)
        running.end(JobStatus.COMPLETED)

    process = processes(start=False, run=run)
    process.store.begin = lose_once(process.store.begin)
    process.jobs.submit(job(), CONTENT)
    process.jobs.start()
    assert process.wait_for_ends() == ["job_1 completed"]
    assert len(runs) == 1


def test_no_thread(processes, monkeypatch):
    """A job for which the machine has no thread waits again until there is one."""
    monkeypatch.setattr(upkeep, "BEAT", 0.02)
    monkeypatch.setattr(consumer, "PAUSE", 0.02)
    refused: list[threading.Thread] = []
    start = threading.Thread.start

    def start_later(thread):
        if thread.name == "job-job_1" and not refused:
            refused.append(thread)
            no_thread(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_later)
    process = processes(most=1)
    process.jobs.submit(job(), CONTENT)
    assert process.wait_for_ends() == ["job_1 completed"]
    assert refused


def test_no_thread_for_a_job_in_the_queue_twice(processes, monkeypatch):
    """A job for which the machine had no thread waits again also if it is in the queue twice."""
    monkeypatch.setattr(upkeep, "BEAT", 3600.0)
    process = processes(start=False)
    process.jobs.start()
    consumer = process.jobs._consumer
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", no_thread)
        process.jobs.submit(job(), CONTENT)
        view = process.store.find("job_1")
        with pytest.raises(RuntimeError):
            consumer._begin(view, ALICE)
        consumer._begin(view, ALICE)
    consumer.put_back_unsure()
    assert process.store.find("job_1").priority is not None


def test_cancel_without_threads(processes, monkeypatch):
    """A job that waits can be cancelled although the machine has no thread to end it in at once."""
    gate = Gate()
    process = processes(run=gate, most=1)
    process.jobs.submit(job(), CONTENT)
    gate.wait_for()
    process.jobs.submit(job("job_2", resumes=True), CONTENT)
    start = threading.Thread.start
    with monkeypatch.context() as full:
        full.setattr(
            threading.Thread,
            "start",
            lambda thread: (no_thread if thread.name == "job-job_2" else start)(thread),
        )
        assert process.jobs.cancel("alice", "job_2")
    gate.open()
    assert sorted(process.wait_for_ends(2)) == ["job_1 completed", "job_2 cancelled"]


@pytest.mark.parametrize("started", [0, 1, 2])
def test_begin_without_threads(processes, monkeypatch, started):
    """A process that lacks a thread to run jobs keeps those that come, and runs them later."""
    process = processes(start=False)
    process.jobs.start()
    left, before = [True] * started, threading.enumerate()
    start = threading.Thread.start
    with monkeypatch.context() as patched:
        patched.setattr(
            threading.Thread,
            "start",
            lambda thread: start(thread) if left and left.pop() else no_thread(thread),
        )
        process.jobs.submit(job(), CONTENT)
        assert process.store.find("job_1").priority is not None
    assert process.jobs.find("alice", "job_1")
    assert process.wait_for_ends() == ["job_1 completed"]
    names = [thread.name for thread in threading.enumerate() if thread not in before]
    assert (names.count("jobs"), names.count("periodic-task")) == (1, 2)


def test_redis_gone_and_back(tmp_path):
    """While Redis is away, jobs run on. Once it is back they end, and those that wait begin."""
    server = RedisServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always").start()
    gate = Gate()
    try:
        with making(RedisKind(server.url)) as make:
            process = make(run=gate, most=2)
            process.jobs.submit(job(), CONTENT)
            gate.wait_for()
            process.jobs.submit(job("job_2"), CONTENT)
            server.stop()
            gate.open()
            with pytest.raises(Unavailable, match="Redis cannot be reached"):
                process.jobs.submit(job("job_3"), CONTENT)
            server.start(server.port)
            assert sorted(process.wait_for_ends(2)) == ["job_1 completed", "job_2 completed"]
            assert process.jobs.health()["status"] == "ok"
            process.jobs.submit(job("job_3"), CONTENT)
            process.wait_for_ends(3)
    finally:
        server.stop()


@IN_BOTH
def test_drain(processes):
    """A process that shuts down begins no more jobs; another one does."""
    gate = Gate()
    process = processes(run=gate, most=1)
    process.jobs.submit(job(), CONTENT)
    gate.wait_for()
    process.jobs.submit(job("job_2"), CONTENT)
    process.draining = True
    process.jobs.drain()
    gate.open()
    assert process.wait_for_ends() == ["job_1 completed"]
    process.jobs.close()
    assert process.jobs.find("alice", "job_2").state.status == "queued"
    assert processes().wait_for_ends() == ["job_2 completed"]


def test_taken_too_late(processes):
    """A job that was taken from the queue while its process stops is put back for another one."""
    process = processes(start=False, run=lambda job: pytest.fail("it ran"))
    process.jobs.submit(job(), CONTENT)
    find = process.store.find

    def find_later(id_):
        process.jobs.drain()
        return find(id_)

    process.store.find = find_later
    process.jobs.start()
    process.jobs._consumer.join()
    assert process.jobs._records.queue.ids() == {"job_1"}
    assert processes().wait_for_ends() == ["job_1 completed"]


@IN_BOTH
def test_close(processes, monkeypatch):
    """Jobs that still run at the end are stopped, and another process learns of it at once."""
    begun = threading.Event()

    def run(running):
        begun.set()
        running.wait(SECONDS)
        running.settled = True  # as if the process were gone

    process = processes(run=run)
    process.jobs.submit(job(), CONTENT)
    assert begun.wait(SECONDS)
    process.jobs.close()
    monkeypatch.setattr(upkeep, "LEASE", 0.0)
    monkeypatch.setattr(upkeep, "BEAT", 0.02)
    assert processes().wait_for_ends() == ["job_1 failed"]


def answer(status, retry_after=None):
    return Answer(status, {}, iter([b"ok"]), lambda: None, retry_after)


def test_ask(processes):
    """A request that a limit refuses is made again; any other answer is returned."""
    answers = []

    def run(running):
        answers.append((running.ask("/responses", b"{}").status, running.job.id))
        running.end(JobStatus.COMPLETED)

    process = processes(run=run, most=1)
    process.answers[:] = [answer(429, 0.0), answer(429, 0.01), answer(200), answer(429)]
    process.jobs.submit(job(), CONTENT)
    process.jobs.submit(job("job_2"), CONTENT)
    process.wait_for_ends(2)
    assert answers == [(200, "job_1"), (429, "job_2")]


def test_ask_while_draining(processes):
    """A job whose request was refused as its process shuts down can be put back."""

    def run(running):
        process.draining = True
        with pytest.raises(ShuttingDown):
            running.ask("/responses", b"{}")
        running.again()

    process = processes(start=False, run=run)
    process.answers[:] = [answer(503, 1.0)]
    process.jobs.submit(job(), CONTENT)
    process.jobs.start()
    other = processes(start=False)
    assert process.jobs.wait_until_idle(SECONDS)
    other.jobs.start()
    assert other.wait_for_ends() == ["job_1 completed"]


def test_health(processes):
    """Health tells how many jobs wait and run, of each kind."""
    gate = Gate()
    process = processes(run=gate, most=1)
    assert process.jobs.health() == {"status": "ok", "waiting": {"test": 0}, "running": {"test": 0}}
    process.jobs.submit(job(), CONTENT)
    process.jobs.submit(job("job_2"), CONTENT)
    gate.wait_for()
    process.jobs._upkeep.tend()
    assert process.jobs.health() == {"status": "ok", "waiting": {"test": 1}, "running": {"test": 1}}
    assert process.jobs.busy()
    gate.open()
    process.wait_for_ends(2)


def test_idle(processes):
    """Without any job a process starts no thread, and the first one that it gets starts them."""
    process = processes(start=False)
    before = {*threading.enumerate()}
    process.jobs.start()
    assert {*threading.enumerate()} <= before
    process.jobs.submit(job(), CONTENT)
    assert process.wait_for_ends() == ["job_1 completed"]
