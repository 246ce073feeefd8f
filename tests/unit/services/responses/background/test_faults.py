"""Responses in the background while Redis is away, or the disk of JOBS_DB is full."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager

import openai
import pytest

from tests.support.lost_answers import fail_once, lose_once
from tests.support.redis_server import RedisServer
from tests.support.scripted_server import error_of
from tests.support.server import eventually
from tests.unit.routes.test_background_responses_route import ENDED, SCRIPTS, World, statuses
from wrapper.errors import Unavailable
from wrapper.services.events import Started, TextDelta
from wrapper.services.sqlite_file import SqliteFile


class Gated:
    """The steps of a turn that goes on after its first text once the test opens it."""

    def __init__(self):
        self._open = threading.Event()

    def open(self):
        self._open.set()

    def __iter__(self):
        yield Started("m")
        yield TextDelta("Hel")
        while not self._open.is_set():
            yield 0.02
        yield TextDelta("lo.")
        yield ENDED


@pytest.fixture
def gate(monkeypatch):
    """The turn of the input "gated"; the ends of jobs are tried again at once."""
    gate = Gated()
    monkeypatch.setitem(SCRIPTS, "gated", gate)
    monkeypatch.setattr("wrapper.services.jobs.running.PAUSE", 0.01)
    return gate


def until_text(events):
    assert any(event.type == "response.output_text.delta" for event in events)


def until_settled(world):
    """Wait until the turn has ended, and its end is to be written."""
    (job,) = world.gateway.work.jobs._consumer.running()
    assert eventually(lambda: job.settled)
    assert world.server.engine.running == 0


def check_end(world, id_, reason):
    """Check that the response failed for *reason* with its output so far, and that others run."""
    response = world.end(id_)
    assert (response.status, response.output_text) == ("failed", "Hel")
    assert reason in response.error.message
    assert world.end(world.begin("hello").id).status == "completed"
    assert len(world.server.engine.turns) == 2


def test_redis_gone_and_back(tmp_path, gate, monkeypatch):
    """A turn during which Redis goes away fails, says why, and is not run again.

    A client that follows it gets the error at once.
    """
    monkeypatch.setattr("wrapper.services.responses.redis_store.LOOK", 0.1)
    redis = RedisServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always").start()
    world = World(tmp_path, session_store=redis.url)
    try:
        id_ = world.begin("gated").id
        with world.follow(id_) as events:
            until_text(events)
            redis.stop()
            *_, last = events
        assert last.type == "error"
        assert "Redis cannot be reached" in last.message
        gate.open()
        until_settled(world)
        with pytest.raises(openai.InternalServerError, match="Redis cannot be reached"):
            world.client.responses.retrieve(id_)
        redis.start(redis.port)
        assert eventually(lambda: world.gateway.stores.responses.health()["status"] == "ok")
        check_end(world, id_, "Redis cannot be reached")
    finally:
        world.close()
        redis.stop()


def test_store_away_at_the_beginning(tmp_path, monkeypatch):
    """A response that cannot begin while the store of responses is away waits for it."""
    world = World(tmp_path)
    begin, failures = world.gateway.stores.responses.begin, iter([Unavailable("Redis is away.")])

    def fail_once(asked, caller):
        if caller.background and (error := next(failures, None)):
            raise error
        return begin(asked, caller)

    monkeypatch.setattr(world.gateway.stores.responses, "begin", fail_once)
    try:
        assert world.end(world.begin("hello").id).status == "completed"
    finally:
        world.close()
    assert next(failures, None) is None


def test_lost_answer_to_the_end(tmp_path):
    """A response stays stored although the store's answer to its end was lost."""
    world = World(tmp_path)
    store = world.gateway.work.jobs._records.store
    store.end = lose_once(store.end)
    try:
        id_ = world.begin("hello").id
        assert world.end(id_).status == "completed"
        assert eventually(lambda: not world.gateway.work.jobs._consumer.running())
        assert world.client.responses.input_items.list(id_).data
        next_ = world.client.responses.create(input="hello", previous_response_id=id_)
        assert next_.status == "completed"
    finally:
        world.close()


def test_delete_fails(tmp_path):
    """What could not be deleted of a response is deleted with the next attempt."""
    world = World(tmp_path)
    responses = world.gateway.work.responses
    try:
        id_ = world.begin("hello").id
        world.end(id_)
        responses._log.delete = fail_once(responses._log.delete)
        with pytest.raises(Unavailable):
            responses.delete_all("alice")
        assert responses.delete_all("alice") == 1
        assert responses._log.last(id_) is None
    finally:
        world.close()


class Disk:
    """The disk of the file of jobs, to which nothing can be written while it is `full`."""

    def __init__(self):
        self.full = False
        self._opened = SqliteFile.opened

    @contextmanager
    def opened(self, file):
        with self._opened(file) as connection:
            full = self.full and file.path().name == "jobs.db"
            yield _FullConnection(connection) if full else connection


class _FullConnection:
    def __init__(self, connection):
        self._connection = connection

    def execute(self, statement, *values):
        if statement.split()[0] in ("INSERT", "UPDATE"):
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return self._connection.execute(statement, *values)


@pytest.fixture
def disk(monkeypatch):
    disk = Disk()
    monkeypatch.setattr(SqliteFile, "opened", lambda file: disk.opened(file))
    return disk


def test_full_disk(tmp_path, gate, disk):
    """A turn during which the disk becomes full ends, fails and says why.

    Its end is written once there is room. Meanwhile others are refused.
    """
    world = World(tmp_path)
    try:
        id_ = world.begin("gated").id
        with world.follow(id_) as events:
            until_text(events)
            disk.full = True
            gate.open()
            until_settled(world)
            assert statuses(world, id_) == "failed"
            assert "make room on its disk" in error_of(world.post(), 503)["message"]
            disk.full = False
            *_, last = events
        assert last.type == "response.failed"
        assert "make room on its disk" in last.response.error.message
        check_end(world, id_, "make room on its disk")
    finally:
        world.close()


def test_shutdown_with_a_full_disk(tmp_path, gate, disk):
    """A gateway whose disk is full shuts down, though the end of a turn is not written."""
    world = World(tmp_path)
    try:
        id_ = world.begin("gated").id
        world.until(id_, "response.output_text.delta")
        disk.full = True
        gate.open()
        until_settled(world)
    finally:
        world.close()
    assert world.gateway.work.jobs.wait_until_idle(30.0)
