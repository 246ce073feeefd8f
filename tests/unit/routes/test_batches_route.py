"""The routes of batches: what a body may say, what is listed, and how it is refused."""

from __future__ import annotations

import io
import json

import pytest

from tests.support.scripted_server import HOUR, ScriptedServer, error_of
from tests.support.server import eventually
from wrapper.schemas.batches import BatchListSchema, BatchSchema
from wrapper.services.events import Started

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "Hi"}]
LINE = {"custom_id": "a", "method": "POST", "url": CHAT, "body": {"messages": MESSAGES}}
BODY = {"endpoint": CHAT, "completion_window": "24h"}


@pytest.fixture
def steps():
    return ()


@pytest.fixture
def settings():
    return {}


@pytest.fixture
def server(tmp_path, steps, settings):
    paths = {"files_dir": str(tmp_path / "files"), "jobs_db": str(tmp_path / "jobs.db")}
    server = ScriptedServer(*steps, **paths, usage_db=str(tmp_path / "usage.db"), **settings)
    yield server
    server.app.extensions["wrapper"].close()


@pytest.fixture
def file_id(server):
    data = {"purpose": "batch", "file": (io.BytesIO(json.dumps(LINE).encode()), "a.jsonl")}
    return server.client.post("/v1/files", data=data).json["id"]


def create(server, **fields):
    return server.post({**BODY, **fields}, path="/v1/batches")


def get(server, path=""):
    return server.client.get(f"/v1/batches{path}")


def test_a_batch(server, file_id):
    """A batch runs through the gateway, and its answer is in the output file."""
    body = create(server, input_file_id=file_id, metadata={"a": "b"}).json
    assert BatchSchema().validate(body) == {}
    path = f"/{body['id']}"
    assert eventually(lambda: get(server, path).json["status"] == "completed")
    body = get(server, path).json
    assert BatchSchema().validate(body) == {}
    output = f"/v1/files/{body['output_file_id']}/content"
    content = json.loads(server.client.get(output, buffered=True).data)
    assert content["response"]["body"]["choices"][0]["message"]["content"] == "Hello."
    server.ask()
    assert [turn.background for turn in server.engine.turns] == [True, False]
    refused = server.post({}, path=f"/v1/batches{path}/cancel")
    assert error_of(refused, 409)["code"] == "batch_ended"
    assert refused.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("steps", [(0.01, Started("m"), HOUR)])
@pytest.mark.parametrize("settings", [{"max_timeout": 1}])
def test_time_limit(server, file_id):
    """A line may take as long as any request: MAX_TIMEOUT."""
    path = f"/{create(server, input_file_id=file_id).json['id']}"
    assert eventually(lambda: get(server, path).json["status"] == "completed")
    errors = f"/v1/files/{get(server, path).json['error_file_id']}/content"
    response = json.loads(server.client.get(errors, buffered=True).data)["response"]
    assert response["status_code"] == 504
    assert "(MAX_TIMEOUT)" in response["body"]["error"]["message"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"endpoint": "/v1/embeddings"}, "endpoint"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"input_file_id": None}, "input_file_id"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"metadata": {"a": "b" * 513}}, "metadata.a"),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 1}}, "output_expires_after"),
    ],
)
def test_wrong_fields(server, file_id, fields, param):
    """A wrong field is a 400 that names it."""
    error = error_of(create(server, **{"input_file_id": file_id, **fields}), 400)
    assert error["param"].startswith(param)
    assert get(server).json["data"] == []


def test_unknown_ids(server):
    """A file or a batch that the caller does not have is a 404."""
    error = error_of(create(server, input_file_id="file-1"), 404)
    assert (error["code"], error["param"]) == ("file_not_found", "input_file_id")
    for response in (get(server, "/batch_1"), server.post({}, path="/v1/batches/batch_1/cancel")):
        error = error_of(response, 404)
        assert (error["code"], error["param"]) == ("batch_not_found", "batch_id")


def test_pages(server, file_id):
    """A list is paged, the newest batch first."""
    ids = [create(server, input_file_id=file_id).json["id"] for _ in range(3)][::-1]
    body = get(server, "?limit=2").json
    assert BatchListSchema().validate(body) == {}
    assert ([each["id"] for each in body["data"]], body["has_more"]) == (ids[:2], True)
    body = get(server, f"?after={ids[1]}").json
    assert ([each["id"] for each in body["data"]], body["has_more"]) == (ids[2:], False)
    assert error_of(get(server, "?limit=101"), 400)["param"] == "limit"


def test_a_batch_that_expires_while_it_is_listed(server, file_id, monkeypatch):
    """A list has the other batches, and is not refused."""
    id_ = create(server, input_file_id=file_id).json["id"]
    service = server.app.extensions["wrapper"].work.batches
    monkeypatch.setattr(service, "ids", lambda owner: ["batch_gone", id_])
    assert [each["id"] for each in get(server).json["data"]] == [id_]
