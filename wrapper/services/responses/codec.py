"""The codec of records: JSON as compressed bytes, and a record as one value for a store."""

from __future__ import annotations

import json
import zlib
from typing import Any

from wrapper.json_text import encoding
from wrapper.services.responses.record import ResponseRecord

# The fastest level: a response waits for it before its last event.
LEVEL = 1
_PARTS = ("response", "output", "input")


class Unreadable(ValueError):
    """Raised for bytes that this codec has not written."""


def to_text(value: Any) -> bytes:
    """Return *value* as JSON."""
    # A model's text may contain lone surrogates, which json.loads also reads.
    return encoding.encode(value).encode("utf-8", "surrogatepass")


def from_text(text: bytes) -> Any:
    """Return the value whose JSON is *text*. Raises Unreadable."""
    try:
        return json.loads(text.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from None


def pack(text: bytes) -> bytes:
    """Return *text* in fewer bytes."""
    return zlib.compress(text, LEVEL)


def unpack(data: bytes) -> bytes:
    """Return the text that was packed. Raises Unreadable."""
    try:
        return zlib.decompress(data)
    except zlib.error as error:
        raise Unreadable(str(error)) from None


def encode(record: ResponseRecord) -> bytes:
    """Return *record* as one value: a line of JSON, and then the packed parts."""
    parts = [getattr(record, name) for name in _PARTS]
    head = {"path": record.path, "size": record.size, "lengths": [len(part) for part in parts]}
    return b"\n".join((json.dumps(head).encode(), b"".join(parts)))


def decode(data: bytes) -> ResponseRecord:
    """Return the record in *data*. Raises Unreadable."""
    line, _, rest = data.partition(b"\n")
    try:
        head = json.loads(line)
        response, output, input_ = head["lengths"]
        path = tuple(map(str, head["path"]))
        return ResponseRecord(
            path,
            int(head["size"]),
            rest[:response],
            rest[response : response + output],
            rest[response + output : response + output + input_],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from None
