"""JSON bodies: read in full, parsed strictly by RFC 8259, and loaded by a schema."""

from __future__ import annotations

import json
import re
from typing import Any

from flask import Request
from marshmallow import Schema
from werkzeug.exceptions import RequestEntityTooLarge

from wrapper import errors
from wrapper.errors import InvalidRequest
from wrapper.json_text import Bytes
from wrapper.json_text.encoding import encode
from wrapper.json_text.precision import read_number
from wrapper.json_text.unique_names import UniqueNames
from wrapper.json_text.value_count import MOST_VALUES, has_too_many_values
from wrapper.routes.body import PIECE_BYTES, check_complete, readable_body
from wrapper.routes.content_coding import codings, expand
from wrapper.routes.context import current_request
from wrapper.routes.headers import JSON_TYPE
from wrapper.schemas.base import load_data

BODY_BYTES = 32 * 1024 * 1024
TOO_DEEP = "The body's JSON is nested too deeply."

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def load(schema: Schema) -> Any:
    """Return the request's JSON body as *schema* loads it. Raises as the two steps do."""
    return load_body(schema, read_body())


def read_body() -> Bytes:
    """Return the request's JSON body as it came, without its content coding.

    Raises UnsupportedMediaType, InvalidRequest (also as MalformedRequest or RequestCut), or
    Werkzeug's RequestEntityTooLarge.
    """
    sent = current_request()
    if sent.mimetype != JSON_TYPE:
        raise errors.UnsupportedMediaType(
            f"The content type is {sent.mimetype or 'missing'}; send {JSON_TYPE}."
        )
    applied = codings(sent.headers.get("Content-Encoding", ""))
    return expand(_read(sent), applied, BODY_BYTES)


def load_body(schema: Schema, body: Bytes) -> Any:
    """Return a JSON body as *schema* loads it. Raises InvalidRequest."""
    data = parse(body)
    try:
        return load_data(schema, data)
    except RecursionError:
        raise InvalidRequest(TOO_DEEP) from None


def _read(sent: Request) -> Bytes:
    # One byte above the limit: Werkzeug silently truncates a body of unknown length at its limit.
    sent.max_content_length = BODY_BYTES + 1
    length = sent.content_length
    with readable_body():
        # If a hook of the app around the gateway has read the body, only `get_data` has it.
        data = _read_all(sent.stream, length) or sent.get_data()
    check_complete(len(data), length)
    if len(data) > BODY_BYTES:
        raise RequestEntityTooLarge
    return data


def _read_all(stream: Any, length: int | None) -> Bytes:
    """Return all bytes of *stream*, which has at most *length* bytes, if that is known.

    Then they are read in place: a body takes memory, and time for its pages, only once.
    """
    if length is None:
        return b"".join(iter(lambda: stream.read(PIECE_BYTES), b""))
    data = bytearray(length)
    view, end = memoryview(data), 0
    while end < length and (size := stream.readinto(view[end : end + PIECE_BYTES])):
        end += size
    return data if end == length else data[:end]


def parse(data: Bytes) -> dict[str, Any]:
    """Return the JSON object in *data*, which must follow RFC 8259 and hold valid Unicode.

    A name that an object repeats is refused: parsers differ in which of its values they use.
    """
    if has_too_many_values(data):
        raise InvalidRequest(f"The body's JSON holds more than {MOST_VALUES} values; send fewer.")
    pairs = UniqueNames()
    try:
        text = data.decode()
        body = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=read_number,
            object_pairs_hook=pairs.read,
        )
        if _SURROGATE.search(text):
            encode(body).encode()
    except RecursionError:
        raise InvalidRequest(TOO_DEEP) from None
    except UnicodeEncodeError:
        raise InvalidRequest(
            "The body's JSON holds a lone surrogate, which is not valid text."
        ) from None
    except ValueError as error:
        raise InvalidRequest(f"The body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise InvalidRequest("The body must be a JSON object.")
    if (path := pairs.repeated(body)) is not None:
        message = f"The name {path!r} occurs twice in its JSON object; send it once."
        raise InvalidRequest(message, param=path, code="duplicate_name")
    return body


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")
