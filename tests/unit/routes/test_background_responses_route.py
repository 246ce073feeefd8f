"""Responses in the background: begun, read, followed, cancelled and deleted."""

import contextlib
import errno
import hashlib
import sqlite3
import threading

import openai
import pytest

from tests.support.responses import PATH, ask, client_of
from tests.support.scripted_server import ScriptedServer, error_of
from tests.support.server import eventually
from wrapper import errors
from wrapper.services.events import Ended, Ending, Started, TextDelta
from wrapper.services.responses.background import run_watch
from wrapper.services.spent import Usage

ENDED = Ended(Ending.DONE, Usage(input=3, output=2), 0.001)
# Seconds that a turn takes which a test ends.
LONG = 300.0
SECRET = "sk-secret-of-a-server"
SECONDS = 30.0
UNKNOWN = f"resp_{'0' * 32}"

DIGESTS = {name: hashlib.sha256(f"sk-{name}".encode()).hexdigest() for name in ("alice", "bob")}
KEYS = "".join(
    f'[keys.{name}]\nsha256 = "{digest}"\nmodels = ["sonnet"]\n' for name, digest in DIGESTS.items()
)
SCRIPTS = {
    "hello": [Started("m"), TextDelta("Hel"), TextDelta("lo."), ENDED],
    "long": [Started("m"), TextDelta("Hel"), LONG, ENDED],
    "silent": [Started("m"), LONG, ENDED],
    "cut": [Started("m"), TextDelta("Hel"), Ended(Ending.LENGTH, Usage(), None)],
    "broken": [Started("m"), TextDelta("Hel"), 0.3, errors.Overloaded("It is overloaded.")],
    "refused": [errors.InvalidRequest("The model refuses it.")],
    "chatty": [Started("m"), TextDelta("x" * 100_000), LONG, ENDED],
}


def play(turn):
    """Play the script that the last text of the input names."""
    return SCRIPTS[turn.messages[-1].parts[-1].split()[-1]]


class World:
    """A server with keys for alice and bob, and OpenAI's client of each."""

    def __init__(self, folder, **settings):
        keys = folder / "keys.toml"
        if not keys.exists():
            keys.write_text(KEYS)
        given = {"api_keys_file": str(keys), "jobs_db": str(folder / "jobs.db"), **settings}
        self.server = ScriptedServer(script=play, **given)
        self.gateway = self.server.app.extensions["wrapper"]
        self.client = client_of(self.server).with_options(api_key="sk-alice")
        self.bob = client_of(self.server).with_options(api_key="sk-bob")

    def begin(self, script="hello", **fields):
        response = self.client.responses.create(input=script, background=True, **fields)
        assert (response.status, response.background) == ("queued", True)
        return response

    def follow(self, id_, **options):
        return self.client.responses.retrieve(id_, stream=True, **options)

    def end(self, id_):
        """Return the response once it has ended."""
        return [*self.follow(id_)][-1].response

    def until(self, id_, kind):
        """Wait for the event of this kind."""
        with self.follow(id_) as events:
            assert any(event.type == kind for event in events)

    def post(self, **fields):
        headers = {"Authorization": "Bearer sk-alice"}
        body = {"input": "hello", "background": True, **fields}
        return self.server.post(body, path=PATH, headers=headers)

    def close(self):
        self.client.close()
        self.bob.close()
        self.gateway.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("world"))
    yield world
    world.close()


@pytest.fixture
def waiting(tmp_path):
    """A server whose process runs no jobs, so that they wait."""
    world = World(tmp_path, background_turns=0)
    yield world
    world.close()


def no_space():
    raise OSError(errno.ENOSPC, "No space left on device")


def statuses(world, id_):
    return world.client.responses.retrieve(id_).status


# Begin, read and continue


def test_second_start(tmp_path, monkeypatch):
    """If the first request cannot start the gateway, a later one does, and responses are run."""
    world = World(tmp_path)
    with monkeypatch.context() as full, contextlib.closing(world):
        full.setattr(world.gateway.engine, "start", no_space)
        assert world.post().status_code == 503
        full.undo()
        queued = world.begin()
        assert eventually(lambda: statuses(world, queued.id) == "completed", SECONDS)


def test_read(world):
    """A response is answered as queued, and read by its id once it has ended."""
    queued = world.begin(instructions="Be kind.", metadata={"a": "b"})
    assert (queued.output, queued.usage, queued.store) == ([], None, True)
    ended = world.end(queued.id)
    response = world.client.responses.retrieve(queued.id)
    assert response == ended
    assert (response.status, response.output_text) == ("completed", "Hello.")
    assert (response.id, response.created_at) == (queued.id, queued.created_at)
    assert (response.instructions, response.metadata) == ("Be kind.", {"a": "b"})
    assert response.usage.output_tokens == 2


def test_output_so_far(world):
    """While it runs, it is read with its output so far."""
    id_ = world.begin("long").id
    world.until(id_, "response.output_text.delta")
    response = world.client.responses.retrieve(id_)
    assert (response.status, response.output_text) == ("in_progress", "Hel")
    world.client.responses.cancel(id_)


def test_continuation(world):
    """A response that has ended is continued, also in the background."""
    first = world.end(world.begin("hello").id)
    second = world.end(world.begin("hello", previous_response_id=first.id).id)
    assert second.previous_response_id == first.id
    assert len(world.server.engine.turns[-1].messages) == 3


def test_kept_while_it_runs(tmp_path, monkeypatch):
    """What a turn continues is used while it runs, so that it does not expire meanwhile."""
    monkeypatch.setattr(run_watch, "USES", 10**9)  # at each look
    world = World(tmp_path)
    try:
        first = world.end(world.begin("hello").id)
        used = []
        store = world.gateway.stores.responses._store
        monkeypatch.setattr(store, "touch", lambda owner, ids: used.append([owner, *ids]))
        id_ = world.begin("long", previous_response_id=first.id).id
        assert eventually(lambda: len(used) > 3)
        assert used[0] == ["alice", first.id]
        world.client.responses.cancel(id_)
    finally:
        world.close()


def test_expired_while_it_waited(tmp_path):
    """A response whose previous one is gone when its turn begins fails, and says so."""
    world = World(tmp_path, background_turns=0)
    store = world.gateway.stores.responses._store
    try:
        previous = world.client.responses.create(input="hello")
        id_ = world.begin(previous_response_id=previous.id).id
    finally:
        world.close()
    assert not store.keys()
    world = World(tmp_path)
    try:
        error = world.end(id_).error
    finally:
        world.close()
    assert error.code == "invalid_prompt"
    assert f"{previous.id!r} not found. It was there when the request came" in error.message


def test_too_early(waiting):
    """A response that waits cannot be continued, and the error says so."""
    id_ = waiting.begin().id
    error = error_of(waiting.post(previous_response_id=id_), 400)
    assert error["code"] == "previous_response_not_found"
    assert "queued" in error["message"]


def test_input_items(waiting):
    """The input of a response that waits is listed, and dropped once it is cancelled."""
    id_ = waiting.begin("some long").id
    (item,) = waiting.client.responses.input_items.list(id_)
    assert item.content[0].text == "some long"
    assert item.id == id_.replace("resp", "in") + "_0"
    waiting.client.responses.cancel(id_)
    with pytest.raises(openai.NotFoundError, match="cancelled or failed before its turn began"):
        waiting.client.responses.input_items.list(id_)


def test_incomplete(world):
    """A response that reaches its limit is incomplete."""
    response = world.end(world.begin("cut").id)
    assert (response.status, response.output_text) == ("incomplete", "Hel")
    assert world.client.responses.retrieve(response.id) == response


@pytest.mark.parametrize(
    ("script", "code", "text"),
    [("broken", "server_is_overloaded", "Hel"), ("refused", "invalid_prompt", "")],
)
def test_failure(world, script, code, text):
    """A response whose turn fails says why, and keeps its output so far."""
    id_ = world.begin(script).id
    *_, last = world.follow(id_)
    assert last.type == "response.failed"
    response = world.client.responses.retrieve(id_)
    assert (response.status, response.error.code) == ("failed", code)
    assert last.response.error == response.error


def test_time_limit(tmp_path):
    """A turn may take BACKGROUND_TIMEOUT, and not MAX_TIMEOUT."""
    world = World(tmp_path, max_timeout=1, background_timeout=1000)
    try:
        response = world.end(world.begin("long").id)
    finally:
        world.close()
    assert response.status == "failed"
    assert "longer than 1 s (BACKGROUND_TIMEOUT)" in response.error.message
    assert world.server.engine.running == 0


# Streams


def test_stream(world):
    """A stream has the events of the wait and of the turn, with numbers without a gap."""
    with world.client.responses.create(input="hello", background=True, stream=True) as stream:
        events = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:3] == ["response.created", "response.queued", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert [event.response.status for event in events[:3]] == ["queued", "queued", "in_progress"]
    assert events[-1].response == world.client.responses.retrieve(events[0].response.id)


def test_follow(world):
    """A stream begins after any event, and repeats the same events."""
    id_ = world.begin().id
    events = [*world.follow(id_)]
    for after in (0, 1, 4, len(events) - 2, len(events) - 1, 10_000):
        assert [*world.follow(id_, starting_after=after)] == events[after + 1 :]


def test_helper(world):
    """OpenAI's own stream of a response adds its events up."""
    id_ = world.begin().id
    with world.client.responses.stream(response_id=id_, starting_after=3) as stream:
        assert stream.get_final_response().output_text == "Hello."


def test_leaving(world):
    """The turn goes on after the client of a stream has left."""
    with world.client.responses.create(input="hello", background=True, stream=True) as stream:
        id_ = next(iter(stream)).response.id
    assert world.end(id_).status == "completed"


def test_another_process(tmp_path, waiting):
    """Another process than the one that runs a response reads, follows and cancels it."""
    id_ = waiting.begin("long").id
    events = []

    def follow():
        events.extend(waiting.follow(id_))

    follower = threading.Thread(target=follow)
    follower.start()
    runner = World(tmp_path)
    try:
        runner.begin("hello")  # which starts to run jobs
        waiting.until(id_, "response.output_text.delta")
        assert waiting.client.responses.retrieve(id_).output_text == "Hel"
        assert waiting.client.responses.cancel(id_).status == "cancelled"
        follower.join()
    finally:
        runner.close()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].type == "response.cancelled"
    assert events[-1].response["output"][0]["content"][0]["text"] == "Hel"
    assert runner.server.engine.running == 0


def test_too_many_streams(waiting):
    """A caller cannot occupy the server's threads with streams."""
    id_ = waiting.begin().id
    path = f"{PATH}/{id_}?stream=true"
    headers = {"Authorization": "Bearer sk-alice"}
    responses = [waiting.server.client.get(path, headers=headers) for _ in range(32)]
    try:
        error = error_of(waiting.server.client.get(path, headers=headers), 429)
        assert "without stream" in error["message"]
        error_of(waiting.post(stream=True), 429)
        assert len(waiting.gateway.work.jobs.ids("alice")) == 1
    finally:
        for response in responses:
            response.close()
    response = waiting.server.client.get(path, headers=headers)
    assert response.status_code == 200
    response.close()


# Cancel and delete


def test_cancel_waiting(waiting):
    """A response that waits is cancelled at once, and its stream ends."""
    id_ = waiting.begin().id
    assert waiting.client.responses.cancel(id_).status == "cancelled"
    assert statuses(waiting, id_) == "cancelled"
    kinds = [event.type for event in waiting.follow(id_)]
    assert kinds == ["response.created", "response.queued", "response.cancelled"]
    assert waiting.client.responses.cancel(id_).status == "cancelled"


@pytest.mark.parametrize("script", ["long", "silent"])
def test_cancel_running(world, script):
    """A turn that runs is ended, and the response keeps its output so far."""
    id_ = world.begin(script).id
    if script == "long":
        world.until(id_, "response.output_text.delta")
    else:
        world.until(id_, "response.queued")
    response = world.client.responses.cancel(id_)
    assert response.status == "cancelled"
    assert world.server.engine.running == 0
    assert world.client.responses.retrieve(id_) == response
    *_, last = world.follow(id_)
    assert last.type == "response.cancelled"
    assert last.response["status"] == "cancelled"
    error_of(world.post(previous_response_id=id_), 400)


def test_cancel_too_late(world):
    """A response that has ended cannot be cancelled."""
    id_ = world.end(world.begin().id).id
    with pytest.raises(openai.BadRequestError, match="is completed, and cannot be cancelled"):
        world.client.responses.cancel(id_)


def test_not_in_the_background(world):
    """Other responses can neither be streamed nor cancelled."""
    id_ = world.client.responses.create(input="hello").id
    with pytest.raises(openai.BadRequestError, match="with background: true can be streamed"):
        world.follow(id_)
    with pytest.raises(openai.BadRequestError, match="with background: true can be cancelled"):
        world.client.responses.cancel(id_)


def stored(world):
    """Return the ids of the responses whose jobs or events the file has."""
    with contextlib.closing(sqlite3.connect(world.gateway.settings.jobs_db)) as connection:
        rows = connection.execute("SELECT id FROM jobs").fetchall()
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
        if ("response_events",) in tables:
            rows += connection.execute("SELECT response FROM response_events").fetchall()
    return {id_ for (id_,) in rows}


@pytest.mark.parametrize("script", ["hello", "long", "waiting"])
def test_delete(tmp_path, script):
    """Deleting a response ends it, and removes its request and its events."""
    world = World(tmp_path, **({"background_turns": 0} if script == "waiting" else {}))
    try:
        id_ = world.begin("long" if script == "waiting" else script).id
        if script != "waiting":
            world.until(id_, "response.output_text.delta")
        if script == "hello":
            world.end(id_)
        assert stored(world) == {id_}
        world.client.responses.delete(id_)
        assert stored(world) == set()
        assert world.server.engine.running == 0
        with pytest.raises(openai.NotFoundError):
            world.client.responses.retrieve(id_)
    finally:
        world.close()


def test_closed(tmp_path):
    """A response whose gateway closes while it runs has failed, since nobody has cancelled it."""
    world, other = World(tmp_path), World(tmp_path, background_turns=0)
    try:
        id_ = world.begin("long").id
        world.until(id_, "response.output_text.delta")
        world.close()
        response = other.end(id_)
        assert (response.status, response.error.code) == ("failed", "worker_lost")
        assert response.output_text == "Hel"
    finally:
        world.close()
        other.close()


def test_owner(waiting):
    """A response does not exist for another key."""
    id_ = waiting.begin().id
    responses = waiting.bob.responses
    for call in (
        responses.retrieve,
        responses.cancel,
        responses.delete,
        lambda id_: responses.retrieve(id_, stream=True),
        lambda id_: list(responses.input_items.list(id_)),
    ):
        with pytest.raises(openai.NotFoundError):
            call(id_)
    assert statuses(waiting, id_) == "queued"


# Refusals


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"background": "yes"}, 400, "background"),
        ({"store": False}, 400, "background"),
        ({"model": "opus"}, 403, "model"),
        ({"previous_response_id": UNKNOWN}, 400, "previous_response_id"),
        ({"input": [{"type": "message"}]}, 400, "input.0.role"),
        ({"instructions": "x" * (8 * 1024**2 + 1)}, 413, "background"),
    ],
)
def test_errors_at_once(waiting, fields, status, param):
    """An error of the request is one at once, and nothing is queued."""
    assert error_of(waiting.post(**fields), status)["param"] == param
    assert waiting.gateway.work.jobs.ids("alice") == ()


@pytest.mark.parametrize("settings", [{"session_store": "none"}, {"responses_store": "never"}])
def test_without_a_store(settings):
    """A gateway that stores no responses runs none in the background."""
    server = ScriptedServer(**settings)
    error = error_of(ask(server, background=True), 400)
    assert error["param"] == "background"


def test_most(tmp_path):
    """Of a key only so many responses are kept; one that is deleted leaves room for another."""
    world = World(tmp_path, background_turns=0, max_jobs_of_key=2)
    try:
        ids = [world.begin().id for _ in range(2)]
        world.client.responses.cancel(ids[0])
        error = error_of(world.post(), 429)
        assert error["code"] == "rate_limit_exceeded"
        assert "MAX_JOBS_OF_KEY" in error["message"]
        world.client.responses.delete(ids[0])
        world.begin()
    finally:
        world.close()


def test_most_bytes(tmp_path):
    """The requests of a key's responses that have not ended may have only so many bytes."""
    world = World(tmp_path, background_turns=0, jobs_max_bytes=10_000)
    try:
        id_ = world.begin("x" * 6_000).id
        error = error_of(world.post(input="x" * 6_000), 429)
        assert "JOBS_MAX_BYTES" in error["message"]
        assert "JOBS_MAX_BYTES" in error_of(world.post(input="x" * 10_000), 413)["message"]
        world.client.responses.cancel(id_)
        world.begin("x" * 6_000)
    finally:
        world.close()


def test_too_many_events(tmp_path):
    """A response with more events than may be stored fails, and says why."""
    world = World(tmp_path, session_max_bytes=20_000)
    try:
        response = world.end(world.begin("chatty").id)
    finally:
        world.close()
    assert response.status == "failed"
    assert "SESSION_MAX_BYTES" in response.error.message
    assert world.server.engine.running == 0


def test_logs(world, caplog):
    """Neither the prompt nor a secret of the request is logged."""
    server = {"type": "mcp", "server_label": "a", "server_url": "https://a.test"}
    fields = {"tools": [{**server, "authorization": SECRET}], "tool_choice": "none"}
    response = world.end(world.begin(f"{SECRET} refused", **fields).id)
    assert response.status == "failed"
    assert SECRET not in caplog.text


def test_delete_all(waiting):
    """All of a key's responses that wait are deleted, and never run; others keep theirs."""
    ids = [waiting.begin().id for _ in range(2)]
    kept = waiting.bob.responses.create(input="hello", background=True)
    service = waiting.gateway.work.responses
    assert service.delete_all("alice") == 2
    assert service.delete_all("alice") == 0
    for id_ in ids:
        with pytest.raises(openai.NotFoundError):
            waiting.client.responses.retrieve(id_)
    assert waiting.bob.responses.retrieve(kept.id).status == "queued"
    assert waiting.gateway.work.jobs._records.store.waiting().keys() == {kept.id}
