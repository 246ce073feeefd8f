"""The lines of a batch's input file, and those of its result files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from wrapper.ids import new_id
from wrapper.json_text import Json
from wrapper.json_text.encoding import encode
from wrapper.json_text.precision import read_number, write_exact
from wrapper.json_text.unique_names import UniqueNames
from wrapper.json_text.value_count import MOST_VALUES, has_too_many_values

LONGEST_LINE = 32 * 1024 * 1024
LONGEST_CUSTOM_ID = 512
# What would let a request answer in another way than with one JSON object, at once.
NOT_IN_BATCHES = ("stream", "background")
BOM = b"\xef\xbb\xbf"
# Characters that end a line for some readers of text, such as Python's `splitlines`, and that JSON
# may have in its texts.
LINE_ENDS = {end.encode(): f"\\u{ord(end):04x}".encode() for end in "\x85\u2028\u2029"}


class LineError(Exception):
    """Raised for a line that cannot run. `custom_id` is the line's, if it has a valid one."""

    def __init__(self, code: str, message: str, param: str | None = None, custom_id: Any = None):
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        known = isinstance(custom_id, str) and len(custom_id) <= LONGEST_CUSTOM_ID
        self.custom_id = custom_id if known else None


@dataclass(frozen=True)
class Line:
    """A request of a batch: its id and its body."""

    custom_id: str
    body: bytes


def load_line(data: bytes, endpoint: str) -> Line:
    """Return the request in a line of a batch for *endpoint*. Raises LineError."""
    value = _parse(data)
    custom_id = value.get("custom_id")
    if not isinstance(custom_id, str) or not 0 < len(custom_id) <= LONGEST_CUSTOM_ID:
        wanted = f"custom_id: give each line one, of up to {LONGEST_CUSTOM_ID} characters."
        raise LineError("missing_required_parameter", wanted, "custom_id")
    body = value.get("body")
    if value.get("method") != "POST":
        raise LineError("invalid_method", "method: it must be POST.", "method", custom_id)
    if value.get("url") != endpoint:
        message = f"url: it must be {endpoint}, the endpoint of the batch."
        raise LineError("url_mismatch", message, "url", custom_id)
    if not isinstance(body, dict):
        raise LineError("invalid_type", "body: it must be an object.", "body", custom_id)
    for name in NOT_IN_BATCHES:
        if body.get(name):
            message = f"body.{name}: a batch has no such requests; leave it out."
            raise LineError("unsupported_parameter", message, f"body.{name}", custom_id)
    return Line(custom_id, _write(body, custom_id))


def _write(body: Json, custom_id: str) -> bytes:
    """Return *body* with all digits of its numbers, as it would come without a batch."""
    try:
        return write_exact(body).encode(errors="surrogatepass")
    except RecursionError:
        message = "body: it is nested too deeply."
        raise LineError("invalid_json_line", message, "body", custom_id) from None


def _parse(data: bytes) -> Json:
    code = "invalid_json_line"
    if has_too_many_values(data):
        raise LineError(code, f"The line holds more than {MOST_VALUES} values.")
    names = UniqueNames()
    try:
        value = json.loads(data.decode(), parse_float=read_number, object_pairs_hook=names.read)
    except (ValueError, RecursionError) as error:
        raise LineError(code, f"The line is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise LineError(code, "The line is not a JSON object.")
    if path := names.repeated(value):
        message = f"The name {path!r} occurs twice in its object; send it once."
        raise LineError("duplicate_name", message, path, value.get("custom_id"))
    return value


def split(pieces: Iterable[bytes]) -> Iterator[tuple[int, int, bytes | None]]:
    """Yield where each line begins, which one it is in the file, from 1, and the line.

    That is None if it is longer than LONGEST_LINE. Empty lines are left out.
    """
    begin = position = 0
    number = 1
    line = bytearray()
    for piece in pieces:
        for part in _parts(piece):
            position += len(part)
            if len(line) <= LONGEST_LINE:
                line += part
            if part.endswith(b"\n"):
                yield from _line(begin, number, line)
                begin = position
                number += 1
                line.clear()
    yield from _line(begin, number, line)


def _parts(piece: bytes) -> Iterator[bytes]:
    """Yield the parts of *piece* that end with a newline, and the rest."""
    *lines, rest = piece.split(b"\n")
    for line in lines:
        yield line + b"\n"
    if rest:
        yield rest


def _line(begin: int, number: int, line: bytearray) -> Iterator[tuple[int, int, bytes | None]]:
    if len(line) > LONGEST_LINE:  # of which only a part is known: a request may follow blanks
        yield begin, number, None
    elif text := cleaned(line):
        yield begin, number, text


def first_line(pieces: Iterable[bytes]) -> bytes:
    """Return what is before the first newline. Nothing behind it is kept in memory."""
    line = bytearray()
    for piece in pieces:
        part, newline, _ = piece.partition(b"\n")
        line += part
        if newline:
            break
    return bytes(line)


def cleaned(data: bytes | bytearray) -> bytes:
    """Return a line without what may surround its JSON."""
    return bytes(data).removeprefix(BOM).strip()


def answered(id_: str, custom_id: str, status: int, request_id: str, body: bytes) -> bytes:
    """Return the line of a result file for an answer. Raises LineError if it is not the API's."""
    if 300 <= status < 400 or not _is_json(body):
        message = (
            f"Not the gateway but the app around it answered, with status {status}: its "
            "before_request, such as a login or a redirect, must let the gateway's blueprints pass."
        )
        raise LineError("unexpected_answer", message, custom_id=custom_id)
    body = body.replace(b"\n", b" ")  # which is only white space in JSON
    begin = encode({"id": id_, "custom_id": custom_id})[:-1]
    response = encode({"status_code": status, "request_id": request_id})[:-1]
    parts = (
        begin.encode(errors="replace"),
        b',"response":',
        response.encode(),
        b',"body":',
        body,
        b'},"error":null}',
    )
    return _on_one_line(b"".join(parts))


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body.decode(), parse_int=str)  # as int refuses some thousand digits
    except (ValueError, RecursionError):
        return False
    return True


def failed(line: int, error: LineError) -> bytes:
    """Return the line of a result file for this *line* of the input file, which got no answer."""
    shown = {"code": error.code, "message": error.message, "param": error.param}
    result = {
        "id": new_id("batch_req_"),
        "custom_id": error.custom_id,
        "response": None,
        "error": {**shown, "line": line},
    }
    return _on_one_line(encode(result).encode(errors="replace"))


def _on_one_line(data: bytes) -> bytes:
    """Return JSON without the characters in its texts that could end the line."""
    for end, escaped in LINE_ENDS.items():
        data = data.replace(end, escaped)
    return data
