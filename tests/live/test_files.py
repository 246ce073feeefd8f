"""Files, through OpenAI's own client and a real socket."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.support.server import DEADLINE, Server, eventually

MIB = 1024 * 1024
HEAD = (
    b"--x\r\n"
    b'Content-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--x\r\n'
    b'Content-Disposition: form-data; name="file"; filename="large.jsonl"\r\n\r\n'
)
TAIL = b"\r\n--x--\r\n"
TYPE = {"Content-Type": "multipart/form-data; boundary=x"}
LINE = b'{"custom_id": "1", "method": "POST", "url": "/v1/responses", "body": {}}\n'


@pytest.fixture
def client(gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=gateway.url, api_key="unused", max_retries=0) as client:
        yield client


def test_files(client):
    """OpenAI's client uploads, lists, reads and deletes files."""
    content = LINE * 1000
    expiry = {"anchor": "created_at", "seconds": 3600}
    files = [
        client.files.create(file=("a.jsonl", content), purpose="batch", expires_after=expiry),
        client.files.create(file=("b.txt", b"text"), purpose="user_data"),
    ]
    assert [(file.filename, file.bytes) for file in files] == [
        ("a.jsonl", len(content)),
        ("b.txt", 4),
    ]
    assert files[0].expires_at == files[0].created_at + 3600
    pages = client.files.list(limit=1)  # other tests may have stored files before
    assert [file.id for file in islice(pages, 2)] == [files[1].id, files[0].id]
    assert next(iter(client.files.list(purpose="batch"))).id == files[0].id
    assert client.files.retrieve(files[0].id) == files[0]
    assert client.files.wait_for_processing(files[0].id).status == "processed"
    assert client.files.content(files[0].id).content == content
    with client.files.with_streaming_response.content(files[0].id) as response:
        assert b"".join(response.iter_bytes()) == content
    for file in files:
        assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError, match="No such file"):
        client.files.content(files[0].id)
    with pytest.raises(openai.BadRequestError, match="purpose"):
        client.files.create(file=b"x", purpose="other")


@pytest.mark.parametrize("size", [128 * MIB, pytest.param(500 * MIB, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("chunked", [False, True])
def test_memory(gateway, size, chunked):
    """A large file is neither sent nor read through the gateway's memory."""
    _send(gateway, MIB, chunked=chunked)  # what it imports and allocates once
    before = _memory(gateway)
    file = _send(gateway, size, chunked=chunked)
    assert file["bytes"] == size
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=DEADLINE)
    connection.request("GET", f"/v1/files/{file['id']}/content")
    response = connection.getresponse()
    received = sum(map(len, iter(lambda: response.read(MIB), b"")))
    connection.close()
    assert received == size
    assert _memory(gateway) - before < 24 * MIB
    gateway.call("DELETE", f"/v1/files/{file['id']}")


def test_a_client_that_leaves(gateway):
    """An upload whose client leaves leaves nothing behind."""
    folder = Path(gateway.environment["HOME"], ".local/state/claude-code-gateway/files")
    _send(gateway, 1)
    before = set(folder.iterdir())
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=DEADLINE)
    length = {"Content-Length": str(10 * MIB)}
    connection.putrequest("POST", "/v1/files")
    for name, value in {**TYPE, **length}.items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(HEAD + b"a" * MIB)
    assert eventually(lambda: len(set(folder.iterdir()) - before) == 1)
    connection.close()
    assert eventually(lambda: set(folder.iterdir()) == before)


def test_a_file_that_is_too_large(gateway):
    """A client that announces too large a file gets its answer before it sends the file."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=DEADLINE)
    connection.putrequest("POST", "/v1/files")
    connection.putheader("Content-Length", str(2 * 1024**3))
    connection.putheader(*next(iter(TYPE.items())))
    connection.endheaders()
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())["error"]["param"]) == (413, "file")
    connection.close()


def _send(gateway: Server, size: int, *, chunked: bool = False) -> dict[str, Any]:
    """Upload a file of *size* bytes without holding it in this process, and return its record."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=DEADLINE)
    length = {} if chunked else {"Content-Length": str(len(HEAD) + size + len(TAIL))}
    connection.request("POST", "/v1/files", _body(size), {**TYPE, **length}, encode_chunked=chunked)
    response = connection.getresponse()
    body: dict[str, Any] = json.loads(response.read())
    connection.close()
    assert response.status == 200, body
    return body


def _body(size: int) -> Iterator[bytes]:
    yield HEAD
    piece = LINE * (MIB // len(LINE) + 1)
    while size > 0:
        yield piece[: min(size, MIB)]
        size -= MIB
    yield TAIL


def _memory(gateway: Server) -> int:
    """Return the bytes of memory of the gateway's process that are its own, at most so far."""
    status = Path("/proc", str(gateway.worker), "status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
