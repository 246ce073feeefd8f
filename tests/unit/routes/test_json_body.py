"""JSON bodies: what is accepted, and how anything else is refused."""

import io
import json
import tracemalloc

import pytest

from tests.support.scripted_server import (
    BODY_LIMIT,
    CHAT_BODY,
    ScriptedServer,
    UnreadableBody,
    error_of,
)
from wrapper.errors import InvalidRequest
from wrapper.routes.json_body import parse

pytestmark = pytest.mark.packages


def nested(depth, opening="[", closing="]"):
    return opening * depth + closing * depth


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"]
)
def test_content_types(content_type):
    """JSON is accepted with and without a charset."""
    assert ScriptedServer().post(CHAT_BODY, content_type).status_code == 200


@pytest.mark.parametrize(
    "raw",
    [
        "",
        " ",
        "{",
        '{"messages":',
        "{'messages': []}",
        '{"messages": [],}',
        "[]",
        '"Hi"',
        "7",
        "null",
        "true",
        '{"messages":[{"role":"user","content":"Hi"}]} x',
        '{"messages":[{"role":"user","content":"a\nb"}]}',
        '{"messages":[{"role":"user","content":"Hi"}],"temperature":NaN}',
        '{"messages":[{"role":"user","content":"Hi"}],"x":Infinity}',
        '{"messages":[{"role":"user","content":"Hi"}],"x":-Infinity}',
        '{"messages":[{"role":"user","content":"Hi"}],"seed":' + "9" * 5000 + "}",
        '\ufeff{"messages":[{"role":"user","content":"Hi"}]}',
        b'{"messages":[{"role":"user","content":"\xff"}]}',
        b'{"messages":[{"role":"user","content":"\xed\xa0\x80"}]}',
        json.dumps(CHAT_BODY).encode("utf-16"),
        '{"messages":[{"role":"user","content":"\\ud800"}]}',
        '{"messages":[{"role":"user","content":"\\uDC00\\uD800"}]}',
        '{"messages":[{"role":"user","content":"Hi"}],"x":{"\\udfff":1}}',
        nested(50_000),
        nested(50_000, '{"a":', "}").replace("{}", "{1}"),
        '{"messages":' + nested(50_000) + "}",
        '{"\\ud800":' + nested(400) + "}",
    ],
    ids=lambda raw: repr(raw[:40]),
)
def test_not_a_json_object(raw):
    """A body that is not strictly a JSON object is refused before any turn runs."""
    server = ScriptedServer()
    error = error_of(server.post(raw), 400)
    assert (error["type"], error["param"]) == ("invalid_request_error", None)
    assert server.engine.turns == []


@pytest.mark.parametrize(
    ("raw", "param"),
    [
        ('{"model":"a","messages":[],"model":"b"}', "model"),
        ('{"messages":[{"role":"user","content":"a","role":"user"}]}', "messages.0.role"),
        (
            '{"messages":[{"role":"user","content":[{"text":1,"text":1}]}]}',
            "messages.0.content.0.text",
        ),
        (
            '{"tools":[{"function":{"parameters":{"properties":{"a":1,"a":1}}}}]}',
            "tools.0.function.parameters.properties.a",
        ),
        ('{"a":{"b":1,"\\u0062":2}}', "a.b"),
        ('{"a":{"b":1,"b":2},"a":{}}', "a"),
        ('{"":1,"":2}', ""),
    ],
)
def test_repeated_names(raw, param):
    """A repeated name in an object is refused by its path, because parsers disagree on it."""
    server = ScriptedServer()
    error = error_of(server.post(raw), 400)
    assert (error["code"], error["param"]) == ("duplicate_name", param)
    assert server.engine.turns == []


def test_repeated_name_among_many():
    """The search for a repeated name's path is bounded."""
    names = ",".join(f'"{number}":[]' for number in range(60_000))
    error = error_of(ScriptedServer().post('{"a":{"b":{' + names + ',"0":1}}}'), 400)
    assert error["code"] == "duplicate_name"


@pytest.mark.parametrize("raw", ['"\\ud83d\\ude00"', '"\\\\ud800"', '"a\\u0000b"'])
def test_valid_escapes(raw):
    """Escapes that form valid text are not refused as lone surrogates."""
    server = ScriptedServer()
    response = server.post('{"messages":[{"role":"user","content":' + raw + "}]}")
    assert response.status_code == 200
    assert server.engine.turns[0].messages[0].parts == (json.loads(raw),)


@pytest.mark.parametrize("depth", range(800, 1000, 4))
def test_deep_values(depth):
    """A deeply nested value in the wrong place is a 400, at any depth."""
    part = '{"type":' + nested(depth) + "}"
    raw = '{"messages":[{"role":"user","content":[' + part + "]}]}"
    assert error_of(ScriptedServer().post(raw), 400)["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"]
)
def test_wrong_content_type(content_type):
    """A body that is not sent as JSON is refused; the error names the right content type."""
    server = ScriptedServer()
    error = error_of(server.post(CHAT_BODY, content_type), 415)
    assert error["code"] == "unsupported_media_type"
    assert "application/json" in error["message"]
    assert server.engine.turns == []


def test_too_long_content_length():
    """A body whose length is far over 32 MiB is refused unread."""
    server = ScriptedServer()
    status, body, _ = server.send(UnreadableBody(), CONTENT_LENGTH=str(2 * BODY_LIMIT))
    assert (status, body["error"]["code"]) == (413, "request_too_large")
    assert "32 MiB" in body["error"]["message"]
    assert server.engine.turns == []


CHUNKED = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}


@pytest.mark.parametrize("framing", [CHUNKED, {"CONTENT_LENGTH": str(BODY_LIMIT + 1)}])
@pytest.mark.parametrize("padding", [b" ", b"x"])
def test_too_long(padding, framing):
    """A body over 32 MiB is refused, sent with its length or in chunks, and never truncated."""
    server = ScriptedServer()
    raw = json.dumps(CHAT_BODY).encode().ljust(BODY_LIMIT + 1, padding)
    status, body, _ = server.send(io.BytesIO(raw), **framing)
    assert (status, body.get("error", {}).get("code")) == (413, "request_too_large")
    assert server.engine.turns == []


@pytest.mark.parametrize("framing", [CHUNKED, {"CONTENT_LENGTH": str(BODY_LIMIT)}])
def test_longest_body(framing):
    """A body of 32 MiB is accepted, sent with its length or in chunks."""
    raw = json.dumps(CHAT_BODY).encode().ljust(BODY_LIMIT)
    status, body, _ = ScriptedServer().send(io.BytesIO(raw), **framing)
    assert (status, body["object"]) == (200, "chat.completion")


def test_truncated_body():
    """A body that ends before its length is refused, and no turn runs."""
    server = ScriptedServer()
    raw = json.dumps(CHAT_BODY).encode()
    status, body, _ = server.send(io.BytesIO(raw), CONTENT_LENGTH=str(len(raw) + 5))
    assert (status, body["error"]["code"]) == (408, "request_cut")
    assert server.engine.turns == []


@pytest.mark.parametrize("framing", [{"CONTENT_LENGTH": "500"}, CHUNKED])
def test_unreadable_body(framing):
    """A body that cannot be read to its end is a 408, not a fault of the gateway."""

    class Torn(io.BytesIO):
        def read(self, size=-1):
            raise OSError("no more data")

        readinto = read

    server = ScriptedServer()
    status, body, _ = server.send(Torn(), **framing)
    assert (status, body["error"]["code"]) == (408, "request_cut")
    assert server.engine.turns == []


def test_malformed_body():
    """A body that the server cannot decode is a 400, whatever exception the server raises."""

    class Malformed(io.BytesIO):
        def read(self, size=-1):
            raise LookupError("no chunk")

        readinto = read

    server = ScriptedServer()
    status, body, _ = server.send(Malformed(), **CHUNKED)
    assert (status, body["error"]["code"]) == (400, "malformed_request")
    assert server.engine.turns == []


@pytest.mark.parametrize(
    ("value", "status"),
    [('"\\ud83d\\ude00"', 200), ('"text \\\\ud83d"', 200), ('"\\ud83d"', 400)],
)
def test_surrogates_beside_long_numbers(value, status):
    """Escaped pairs are valid beside a number of many digits, and lone surrogates are refused."""
    body = json.dumps({**CHAT_BODY, "temperature": 0})
    raw = body.replace('"temperature": 0', f'"temperature": 0.69999999999999996, "x": {value}')
    assert ScriptedServer().post(raw).status_code == status


def test_repeated_name_beside_deep_values():
    """The search for a repeated name takes little memory, however deep the body is."""
    deep = f"{'[' * 900}{'0,' * 20_000}0{']' * 900}"
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest) as caught:
            parse(f'{{"x":{deep},"y":{{"a":1,"a":2}},"z":{deep}}}'.encode())
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    assert caught.value.param == "y.a"
