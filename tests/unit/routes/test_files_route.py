"""The routes of files: what a form may hold, what answers say, and how a part is asked for."""

from __future__ import annotations

import io
import logging

import pytest

from tests.support.scripted_server import ScriptedServer, error_of
from wrapper.routes.multipart import FIELD_BYTES, MAX_PARTS
from wrapper.schemas.files import LONGEST_NAME, FileListSchema, FileSchema

CONTENT = b'{"custom_id": "1"}\r\n' * 20_000
ENDING = b"\r\n--x--\r\n"


@pytest.fixture
def server(tmp_path):
    return ScriptedServer(files_dir=str(tmp_path / "files"))


def upload(server, content=CONTENT, name="questions.jsonl", headers=None, **fields):
    data = {"purpose": "batch", **fields, "file": (io.BytesIO(content), name)}
    return server.client.post("/v1/files", data=data, headers=headers, buffered=True)


def send(server, body, kind="multipart/form-data; boundary=x", **options):
    return server.post(body, kind, "/v1/files", **options)


def part(name, value, filename=None):
    named = f'; filename="{filename}"' if filename is not None else ""
    head = f'--x\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
    return head.encode() + value + b"\r\n"


def get(server, path="", **options):
    return server.client.get(f"/v1/files{path}", buffered=True, **options)


def test_a_file(server):
    """A file is returned as it was sent, with the fields of OpenAI's."""
    file = upload(server).json
    assert FileSchema().validate(file) == {}
    assert (file["bytes"], file["filename"]) == (len(CONTENT), "questions.jsonl")
    assert (file["purpose"], file["status"]) == ("batch", "processed")
    assert file["expires_at"] - file["created_at"] == 30 * 86_400
    assert get(server, f"/{file['id']}").json == file
    response = get(server, f"/{file['id']}/content")
    assert (response.status_code, response.data) == (200, CONTENT)
    assert response.headers["Content-Length"] == str(len(CONTENT))
    assert response.headers["Content-Disposition"] == "attachment"
    assert response.mimetype == "application/octet-stream"


def test_order_of_parts(server):
    """The purpose may come after the file, and unknown fields are ignored."""
    body = part("file", b"a\r\nb", "f") + part("other", b"1") + part("purpose", b"vision")
    file = send(server, body + b"--x--").json
    assert (file["purpose"], file["bytes"]) == ("vision", 4)
    assert get(server, f"/{file['id']}/content").data == b"a\r\nb"


def test_expires_after(server):
    """A file expires when its upload says so, but not later than FILES_TTL."""
    asked = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "7200"}
    file = upload(server, **asked).json
    assert file["expires_at"] - file["created_at"] == 7200
    short = ScriptedServer(
        files_dir=server.app.extensions["wrapper"].settings.files_dir, files_ttl=3600
    )
    file = upload(short, **asked).json
    assert file["expires_at"] - file["created_at"] == 3600


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"purpose": "batch_output"}, "purpose"),
        ({"purpose": ""}, "purpose"),
        ({"name": ""}, "file"),
        ({"name": "n" * (LONGEST_NAME + 1)}, "file"),
        ({"name": "a\x1bb"}, "file"),
        ({"expires_after[seconds]": "7200"}, "expires_after.anchor"),
        (
            {"expires_after[anchor]": "created_at", "expires_after[seconds]": "1"},
            "expires_after.seconds",
        ),
    ],
)
def test_wrong_fields(server, fields, param):
    """A wrong field is a 400 that names it, and nothing is stored."""
    assert error_of(upload(server, **fields), 400)["param"] == param
    assert get(server).json["data"] == []


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (part("file", b"a", "f") + b"--x--", 400, "purpose: Missing"),
        (part("purpose", b"batch") + b"--x--", 400, "file: Missing"),
        (part("file", b"a") + part("purpose", b"batch") + b"--x--", 400, "with a filename"),
        (part("file", b"a", "f") * 2 + b"--x--", 400, "may have one file"),
        (part("picture", b"a", "f") + b"--x--", 400, "may have one file"),
        (part("purpose", b"b" * (FIELD_BYTES + 1)) + b"--x--", 400, "a field 8192 bytes"),
        (part("a", b"") * (MAX_PARTS + 1) + b"--x--", 400, "32 parts"),
        (part("purpose", b"\xff") + b"--x--", 400, "not valid multipart"),
        (b"--x\r\nNo: Disposition\r\n\r\na" + ENDING, 400, "not valid multipart"),
        (b"--x\r\n" + b"a" * 2_000_000, 400, "32 parts"),
        (part("file", b"a", "f"), 400, "not valid multipart"),
    ],
)
def test_wrong_forms(server, body, status, words):
    """A form that is not valid, or has too much beside its file, is refused and not stored."""
    message = error_of(send(server, body), status)["message"]
    assert words in message
    assert get(server).json["data"] == []


def test_wrong_types(server):
    """Only multipart/form-data is taken, with its boundary and without an encoding."""
    for kind in ("application/json", "multipart/form-data"):
        assert "boundary" in error_of(send(server, b"{}", kind), 415)["message"]
    encoded = send(server, b"-", headers={"Content-Encoding": "gzip"})
    assert "encoding" in error_of(encoded, 415)["message"]
    long = send(server, b"-", "multipart/form-data; boundary=" + "x" * 201)
    assert "boundary" in error_of(long, 400)["message"]


def test_a_cut_body(server):
    """A body that ends early is a 408, and nothing is stored."""
    body = part("purpose", b"batch") + part("file", b"a" * 1000, "f")
    response = send(server, body, environ_overrides={"CONTENT_LENGTH": str(len(body) + 10)})
    assert error_of(response, 408)["code"] == "request_cut"
    assert get(server).json["data"] == []


def test_too_large(tmp_path):
    """A file over FILE_MAX_BYTES is a 413; one over FILES_MAX_BYTES with others a 429."""
    limits = {"file_max_bytes": 200_000, "files_max_bytes": 250_000}
    server = ScriptedServer(files_dir=str(tmp_path), **limits)
    for content in (b"a" * 200_001, b"a" * 400_000):
        error = error_of(upload(server, content), 413)
        assert (error["code"], error["param"]) == ("request_too_large", "file")
        assert "200000 bytes (FILE_MAX_BYTES)" in error["message"]
    assert upload(server, b"a" * 200_000).status_code == 200
    response = upload(server, b"a" * 50_000)
    assert error_of(response, 429)["code"] == "insufficient_quota"
    assert "FILES_MAX_BYTES" in response.json["error"]["message"]
    assert response.headers["x-should-retry"] == "false"


def test_pages(server):
    """A list is paged, in either order, and may have only one purpose."""
    files = [upload(server, purpose=p).json for p in ("batch", "vision", "batch", "evals")]
    body = get(server).json
    assert FileListSchema().validate(body) == {}
    assert (body["data"], body["has_more"]) == (files[::-1], False)
    body = get(server, "?limit=2&order=asc").json
    assert (body["data"], body["has_more"], body["last_id"]) == (files[:2], True, files[1]["id"])
    body = get(server, f"?limit=2&order=asc&after={files[1]['id']}").json
    assert (body["data"], body["has_more"], body["first_id"]) == (files[2:], False, files[2]["id"])
    assert get(server, "?purpose=batch").json["data"] == [files[2], files[0]]
    assert get(server, "?purpose=x").json["data"] == []
    for query in ("limit=0", "limit=10001", "order=up", "after=file-1"):
        error = error_of(get(server, f"?{query}"), 400)
        assert error["param"] == query.partition("=")[0]


def test_deletion(server):
    """A deleted file is a 404."""
    id_ = upload(server).json["id"]
    deleted = {"id": id_, "object": "file", "deleted": True}
    assert server.client.delete(f"/v1/files/{id_}").json == deleted
    for response in (
        get(server, f"/{id_}"),
        get(server, f"/{id_}/content"),
        server.client.delete(f"/v1/files/{id_}"),
    ):
        error = error_of(response, 404)
        assert (error["code"], error["param"]) == ("file_not_found", "file_id")


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=399990-", 399_990, 400_000),
        ("bytes=-5", 399_995, 400_000),
        ("bytes=5-999999", 5, 400_000),
    ],
)
def test_range(server, asked, start, stop):
    """A part of the content can be asked for."""
    id_ = upload(server).json["id"]
    response = get(server, f"/{id_}/content", headers={"Range": asked})
    assert (response.status_code, response.data) == (206, CONTENT[start:stop])
    assert response.headers["Content-Range"] == f"bytes {start}-{stop - 1}/400000"
    assert response.headers["Accept-Ranges"] == "bytes"


def test_long_suffix(server):
    """The last bytes of a file are all of it if it has fewer; an empty file has none."""
    short, empty = (upload(server, content).json["id"] for content in (b"abc", b""))
    response = get(server, f"/{short}/content", headers={"Range": "bytes=-5"})
    assert (response.status_code, response.data) == (206, b"abc")
    assert response.headers["Content-Range"] == "bytes 0-2/3"
    error_of(get(server, f"/{empty}/content", headers={"Range": "bytes=-5"}), 416)


def test_other_ranges(server):
    """A Range that is not understood asks for everything, and one beyond the end is a 416."""
    id_ = upload(server).json["id"]
    for asked in ("lines=1-2", "bytes=1-2,5-6", "bytes=b-a"):
        response = get(server, f"/{id_}/content", headers={"Range": asked})
        assert (response.status_code, response.data) == (200, CONTENT)
    response = get(server, f"/{id_}/content", headers={"Range": "bytes=400000-"})
    assert error_of(response, 416)["code"] == "range_not_satisfiable"
    assert response.headers["Content-Range"] == "bytes */400000"


def test_hostile_names(server, tmp_path, caplog):
    """A name is only a name: it is no path, and stands in no header and no log."""
    caplog.set_level(logging.DEBUG)
    for name in ("../../etc/passwd", "/etc/passwd", "files.db", "ä\u202e.jsonl", "a'; DROP TABLE"):
        response = upload(server, name=name)
        if response.status_code == 400:  # characters that cannot be printed
            continue
        file = response.json
        assert file["filename"] == name
        content = get(server, f"/{file['id']}/content")
        assert content.data == CONTENT
        assert name not in str(content.headers) + caplog.text
    names = {
        path.name for path in (tmp_path / "files").iterdir() if not path.name.startswith("files.db")
    }
    assert names == {file["id"] for file in get(server).json["data"]}
