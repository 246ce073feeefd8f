"""Deleting a key's data: nothing of it is left in any store, and nothing of others is lost."""

from __future__ import annotations

import io
import json
import time
from types import SimpleNamespace

import pytest
from redis import Redis

from tests.support.console_client import ConsoleClient
from tests.support.key_files import add_keys
from tests.support.scripted_server import HOUR, ScriptedServer, error_of
from tests.support.server import eventually
from tests.support.stored_data import REDIS_NAME, TABLE, StoredData, declared
from wrapper.auth import key_editor
from wrapper.errors import StoredFileNotFound, Unavailable
from wrapper.services import key_data
from wrapper.services.approvals.approval import Asker, Decision, ToolRequest
from wrapper.services.batches.batch import LineResult
from wrapper.services.batches.results import ResultWriter
from wrapper.testing.engine import answer

SECRETS = {"alice": b"violet-otter", "bob": b"amber-heron"}
# Every place that a gateway stores something in, by whether it is a key's data. Whoever adds one
# adds it here, and if it is data, to `fill` and to what KeyData deletes.
DATA = {
    "sqlite": {
        *("jobs", "job_contents", "response_events", "batches", "batch_lines"),
        *("files", "contents", "webhook_deliveries", "requests", "sign_ins"),
    },
    "redis": {
        *(f"claude-code-gateway:{name}" for name in ("jobs", "response-events", "batches")),
        *(f"claude-code-gateway:{name}" for name in ("files", "sessions", "responses")),
        *(f"claude-code-gateway:{name}" for name in ("approvals", "webhooks", "requests")),
        "claude-code-gateway:console",
    },
}
# What was spent, and whose turn it is: numbers by the key's name, which outlive its data.
ACCOUNTS = {
    *("spent", "tool_uses", "spent_by_users", "announced", "job_ranks"),
    *("claude-code-gateway:usage", "claude-gateway:rates"),
}
# Facts about the gateway, its workers and its login, some of which name who runs a turn just now.
OWN = {
    *("provider_limits", "unreported_jobs", "job_workers", "worker_states", "worker_stops"),
    "claude-code-gateway:workers",
}
# Huey's tables and keys have the random ids of deleted jobs until somebody takes them.
QUEUE = ("task", "schedule", "claude-code-gateway:jobs:queue", "claude-code-gateway:jobs:schedule")
KEPT = (*ACCOUNTS, *OWN, *QUEUE, "claude-code-gateway:jobs:ranks")
LINE = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions"}


def script(turn):
    text = turn.messages[-1].parts[-1]
    return [*answer(text)[:-1], HOUR] if "wait" in text else answer(text)


class World:
    """A gateway with keys for alice, bob and the admin eve, in one of two kinds of stores."""

    def __init__(self, folder, kind, url):
        self.file = folder / "keys.toml"
        self.keys = add_keys(self.file, "alice", "bob", "eve", admin="eve")
        for name in SECRETS:
            key_editor.set_webhook(self.file, name, "http://127.0.0.1:9/hook")
        self.kind = kind
        shared = {"session_store": url, "redis_url": url} if kind == "redis" else {}
        paths = {name: str(folder / f"{name}.db") for name in ("usage_db", "jobs_db")}
        self.server = ScriptedServer(
            script=script,
            api_keys_file=str(self.file),
            files_dir=str(folder / "files") if kind == "sqlite" else "",
            log_prompts=True,
            max_concurrent_turns=9,
            background_turns=8,
            webhook_private_hosts=("127.0.0.1",),
            **paths,
            **shared,
        )
        self.gateway = self.server.app.extensions["wrapper"]
        self.stored = StoredData(folder, url if kind == "redis" else "")

    def call(self, name, method, path, **options):
        headers = {"Authorization": f"Bearer {self.keys[name]}"}
        return self.server.client.open(
            path, method=method, headers=headers, buffered=True, **options
        )

    def post(self, name, path, **body):
        response = self.call(name, "POST", path, json=body)
        assert response.status_code == 200, response.text
        return response.json

    def upload(self, name, data):
        form = {"purpose": "batch", "file": (io.BytesIO(data), "a.jsonl")}
        return self.call(name, "POST", "/v1/files", data=form).json["id"]

    def delete(self, key="alice", by="eve"):
        return self.call(by, "DELETE", f"/v1/keys/{key}/data")

    def close(self):
        self.gateway.close()


@pytest.fixture(params=["sqlite", "redis"])
def world(request, tmp_path, monkeypatch):
    monkeypatch.setattr(key_data, "QUIET_SECONDS", 1.0)
    monkeypatch.setattr(key_data, "LOOK_SECONDS", 0.02)
    url = ""
    if request.param == "redis":
        url = request.getfixturevalue("redis_server").url
        with Redis.from_url(url) as client:
            client.flushall()
    world = World(tmp_path, request.param, url)
    yield world
    world.close()
    if url:
        with Redis.from_url(url) as client:
            client.flushall()


def fill(world, name):
    """Let the key of *name* store its secret in every way that there is."""
    secret = SECRETS[name].decode()
    messages = [{"role": "user", "content": secret}]
    world.post(name, "/v1/chat/completions", messages=messages, session_id=f"{name}'s")
    config = f"/v1/tools/config?session_id={name}'s"
    assert world.call(name, "PUT", config, json={"max_turns": 1}).status_code == 200
    world.post(name, "/v1/responses", input=secret)
    background = [
        world.post(name, "/v1/responses", input=text, background=True)["id"]
        for text in (secret, f"{secret} wait")
    ]
    line = {**LINE, "body": {"messages": messages}}
    waits = {
        **LINE,
        "custom_id": "b",
        "body": {"messages": [{"role": "user", "content": f"{secret} wait"}]},
    }
    lines = [
        world.upload(name, b"".join(json.dumps(each).encode() + b"\n" for each in batch))
        for batch in ([line], [line, waits])
    ]
    batches = [
        world.post(
            name,
            "/v1/batches",
            input_file_id=id_,
            endpoint="/v1/chat/completions",
            completion_window="24h",
            metadata={"what": secret},
        )["id"]
        for id_ in lines
    ]
    ask(world, name, secret)
    sign_in(world, name)
    world.gateway.webhooks.announce(name, "batch.completed", {"id": secret}, secret)
    wait_for(world, name, background, batches)
    world.gateway.observers.history.flush()
    return [text.encode() for text in (secret, name, *background, *batches)]


def ask(world, name, secret):
    """Make approvals: one that waits, one that is decided, and one of a response."""
    approvals, request = world.gateway.stores.approvals, ToolRequest("Bash", {"command": secret})
    approvals.begin(Asker(name), request, lambda _: None)
    decided = approvals.begin(Asker(name), request, lambda _: None)
    approvals.end(decided, Decision("approved"))
    approvals.keep(f"mcpr_{name}", Asker(name, response_id="resp_1"), request)


def sign_in(world, name):
    """Sign in, and where one worker does so in its memory, also as one of several workers."""
    ConsoleClient(world.server.app).sign_in(world.keys[name])
    if world.kind == "sqlite":
        world.gateway.lifecycle.workers = 2
        world.gateway.sign_ins.open(world.keys[name])
        world.gateway.lifecycle.workers = 1


def wait_for(world, name, background, batches):
    """Wait until what can end has ended, what waits is in progress, and all is stored."""

    def status(path):
        return world.call(name, "GET", path).json["status"]

    for id_, wanted in zip(background, ("completed", "in_progress"), strict=True):
        assert eventually(lambda: status(f"/v1/responses/{id_}") == wanted)  # noqa: B023
    assert eventually(lambda: status(f"/v1/batches/{batches[0]}") == "completed")

    def counts():
        return world.call(name, "GET", f"/v1/batches/{batches[1]}").json["request_counts"]

    assert eventually(lambda: counts()["completed"] == 1)
    webhooks = "/v1/webhooks"
    assert eventually(lambda: len(world.call(name, "GET", webhooks).json["data"]) >= 3)


def test_every_store_is_known():
    """Each table and each kind of Redis's keys in the source is classified above."""
    tables = {*DATA["sqlite"], *ACCOUNTS, *OWN} - {"contents"}
    assert declared(TABLE) == {name for name in tables if ":" not in name}
    kinds = {*DATA["redis"], *ACCOUNTS, *OWN}
    assert declared(REDIS_NAME) == {name for name in kinds if ":" in name}


def kinds_of(names):
    """Return the tables, and what Redis's keys begin with."""
    return {found[0] if (found := REDIS_NAME.match(name)) else name for name in names}


def test_nothing_is_left(world):
    """The data of one key is deleted from every store, what runs ends, and others keep theirs."""
    texts = {name: fill(world, name) for name in SECRETS}
    for name in SECRETS:
        assert DATA[world.kind] <= kinds_of(world.stored.holding(*texts[name]))
    admission = world.gateway.limits.admission
    assert eventually(lambda: admission.load()["running"] == 4)

    key_editor.remove(world.file, "alice")
    body = world.delete().json
    assert (body["key"], body["valid"]) == ("alice", False)
    assert all(body["deleted"].values()), body
    assert admission.load()["running"] == 2
    left = world.stored.holding(*texts["alice"])
    assert [name for name in left if not name.startswith(KEPT)] == []
    assert set(world.delete().json["deleted"].values()) == {0}
    assert DATA[world.kind] <= kinds_of(world.stored.holding(*texts["bob"]))


def test_admins_only(world):
    """Who is no admin deletes nothing, not even their own data; a wrong name is a 400."""
    world.post("alice", "/v1/responses", input="hello")
    error_of(world.delete(by="alice"), 403)
    error = error_of(world.delete("a b"), 400)
    assert error["param"] == "key"
    assert world.delete().json["deleted"]["responses"] == 1


def test_uploads_in_progress(world):
    """A file that is being uploaded meanwhile is refused, and nothing of it stays."""
    with world.gateway.stores.files.upload("alice") as upload:
        upload.write(SECRETS["alice"])
        assert world.delete().json["deleted"]["files"] == 1
        upload.write(b"more")
        with pytest.raises(StoredFileNotFound):
            upload.finish("a.txt", "user_data", 60)
    assert world.stored.holding(SECRETS["alice"], upload.id.encode()) == set()


def test_results_of_a_deleted_batch(world):
    """A run that writes the results of a batch that is deleted meanwhile leaves no file."""
    store, files = world.gateway.work.batches._store, world.gateway.stores.files

    class Batch:
        id, owner = f"batch_{'0' * 32}", "alice"

    results = [LineResult(0, True, SECRETS["alice"])]
    store.create(Batch.id, time.time() + 60)
    store.refuse(Batch.id, results)
    store.begin(Batch.id, b"", 1, 1, {"status": "in_progress"})
    state = store.read(Batch.id)

    def delete_before(id_, first, count):
        store.delete(Batch.id)
        return results, 1

    deleting = SimpleNamespace(results=delete_before, change=store.change, read=store.read)
    writer = ResultWriter(deleting, files)
    writer.write(Batch, state, 60, lambda number: None)
    assert world.stored.holding(SECRETS["alice"], Batch.id.encode()) == set()


def test_a_store_is_away(world, monkeypatch):
    """While a store cannot be used, the rest is deleted, and the error says what is left and why.

    Doing it again does the rest.
    """
    world.post("alice", "/v1/responses", input="hello")
    world.upload("alice", b"x")

    def fail(owner):
        raise Unavailable("FILES_DIR: it is away; mend it.")

    with monkeypatch.context() as broken:
        broken.setattr(world.gateway.stores.files._stores.records, "ids", fail)
        error = error_of(world.delete(), 503)
    assert error["message"].endswith("Left are files: FILES_DIR: it is away; mend it.")
    deleted = world.delete().json["deleted"]
    assert (deleted["responses"], deleted["files"]) == (0, 1)
