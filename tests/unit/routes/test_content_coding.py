"""Content codings: compressed bodies are expanded within bounds, or refused."""

import gzip
import json
import sys
import time
import tracemalloc
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.exceptions import RequestEntityTooLarge

from tests.support.scripted_server import CHAT_BODY, KEY, ScriptedServer, error_of
from wrapper.errors import MalformedRequest
from wrapper.routes.content_coding import MAX_PARTS, codings, expand

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LIMIT = 1024 * 1024
BODY = json.dumps(CHAT_BODY).encode()


def raw_deflate(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKERS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "raw": raw_deflate,
    "zstd": zstd.compress,
}
CODED = [(name.replace("raw", "deflate"), pack) for name, pack in PACKERS.items()]
EACH = pytest.mark.parametrize(("name", "pack"), CODED, ids=PACKERS)


def post(data, coding, **settings):
    server = ScriptedServer(**settings)
    response = server.post(data, headers={"Content-Encoding": coding})
    return response, server.engine.turns


@EACH
def test_compressed_requests(name, pack):
    """A compressed body is answered like any other, in each coding that clients use."""
    response, turns = post(pack(BODY), name)
    assert response.status_code == 200
    assert turns[0].messages[0].parts == ("Hi",)


@pytest.mark.parametrize("header", ["", "identity", "GZIP", "x-gzip", " gzip ,", "identity, gzip"])
def test_names(header):
    """Names of codings are case-insensitive, and identity is ignored."""
    assert codings(header) in ([], ["gzip"])


@pytest.mark.parametrize(
    "header", ["br", "compress", "gzip, br", "gzip;q=1", ",".join(["gzip"] * 9)]
)
def test_unknown_codings(header):
    """An unsupported coding is a 415 that lists the supported ones, and the body is not decoded."""
    response, turns = post(BODY, header)
    error = error_of(response, 415)
    assert error["code"] == "unsupported_media_type"
    assert response.headers["Accept-Encoding"] == "gzip, deflate, zstd"
    assert turns == []


def test_several_codings():
    """Codings are undone in the reverse of their order in the header."""
    response, _ = post(zstd.compress(zlib.compress(gzip.compress(BODY))), "gzip, deflate, zstd")
    assert response.status_code == 200


@EACH
@pytest.mark.parametrize("spoil", [
    lambda data: data[:-1],
    lambda data: data[: len(data) // 2],
    lambda data: b"",
    lambda data: data + b"x",
    lambda data: data + b"\0" * 100,
    lambda data: b"x" + data,
    lambda data: BODY,
], ids=["cut", "half", "empty", "more", "zeros", "before", "plain"])  # fmt: skip
def test_spoilt_bodies(name, pack, spoil):
    """A body that is truncated, damaged or continues after its end is a 400."""
    response, turns = post(spoil(pack(BODY)), name)
    assert error_of(response, 400)["code"] == "malformed_request"
    assert turns == []


@EACH
def test_limit(name, pack):
    """The limit applies to the expanded size, to the byte."""
    assert expand(pack(bytes(LIMIT)), [name], LIMIT) == bytes(LIMIT)
    with pytest.raises(RequestEntityTooLarge):
        expand(pack(bytes(LIMIT + 1)), [name], LIMIT)


@EACH
def test_bombs(name, pack):
    """A decompression bomb is refused with 413, and uses little more memory than the limit."""
    bomb = pack(bytes(200 * LIMIT))
    tracemalloc.start()
    with pytest.raises(RequestEntityTooLarge):
        expand(bomb, [name], LIMIT)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * LIMIT
    response, _ = post(pack(bytes(33 * 1024**2)), name)
    assert error_of(response, 413)["code"] == "request_too_large"


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_parts(name):
    """A body may be compressed in several parts, but not in thousands of empty ones."""
    pack = PACKERS[name]
    assert expand(pack(b"a") + pack(b"b") * 500, [name], LIMIT) == b"a" + b"b" * 500
    began = time.process_time()
    with pytest.raises(MalformedRequest):
        expand(pack(b"") * 200 * MAX_PARTS, [name], LIMIT)
    assert time.process_time() - began < 1.0


def test_window():
    """A frame that needs a larger window than RFC 9659 allows is refused."""
    options: dict[int, int] = {zstd.CompressionParameter.window_log: 27}
    packer = zstd.ZstdCompressor(options=options)
    frame = packer.compress(b"a" * 100) + packer.flush()
    with pytest.raises(MalformedRequest):
        expand(frame, ["zstd"], LIMIT)


@given(st.binary(max_size=200), st.lists(st.sampled_from(["gzip", "deflate", "zstd"]), max_size=3))
def test_anything(data, applied):
    """Encoded data is restored; any other data is refused as malformed."""
    packed = data
    for name in applied:
        packed = PACKERS[name](packed)
    assert expand(packed, applied, LIMIT) == data
    if applied:
        with suppress(MalformedRequest):
            expand(data, applied, LIMIT)


def test_the_key_comes_first():
    """Nothing is expanded for a caller without a key."""
    response, _ = post(b"x", "gzip", api_key=KEY)
    error_of(response, 401)
