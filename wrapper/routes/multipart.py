"""Bodies of type multipart/form-data: short fields, and one file of any size."""

from __future__ import annotations

from collections.abc import Callable

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Field, File, MultipartDecoder, NeedData

from wrapper.errors import InvalidRequest, MalformedRequest, UnsupportedMediaType
from wrapper.routes.body import pieces
from wrapper.routes.content_coding import codings

MULTIPART_TYPE = "multipart/form-data"
# What the decoder may hold: a piece of the body, or the head of a part.
BUFFER_BYTES = 1024 * 1024
MAX_PARTS = 32
FIELD_BYTES = 8192
LONGEST_BOUNDARY = 200


class Form:
    """The form in the body: the texts of its `fields`, and the `filename` of its file.

    *write* gets the content of the file, which is the part *name*, in pieces.
    """

    def __init__(self, name: str, write: Callable[[bytes], None]):
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        self._name = name
        self._write = write
        self._part: Field | File | None = None
        self._text = bytearray()

    def read(self, most: int) -> None:
        """Read the body, which may have *most* bytes.

        Raises UnsupportedMediaType, InvalidRequest (also as MalformedRequest or RequestCut), or
        what *write* raises.
        """
        decoder = MultipartDecoder(_boundary(), BUFFER_BYTES, max_parts=MAX_PARTS)
        for piece in pieces(most):
            self._take(decoder, piece)
        self._take(decoder, None)

    def _take(self, decoder: MultipartDecoder, piece: bytes | None) -> None:
        try:
            decoder.receive_data(piece)
            while not isinstance(event := decoder.next_event(), NeedData):
                if isinstance(event, (Field, File)):
                    self._begin(event)
                elif isinstance(event, Data):
                    self._add(event.data, is_last=not event.more_data)
                elif piece is None:
                    break
        except RequestEntityTooLarge:
            limits = f"{MAX_PARTS} parts, and a field {FIELD_BYTES} bytes"
            raise InvalidRequest(f"The form may have {limits}.") from None
        except ValueError as error:
            raise MalformedRequest(f"The body is not valid {MULTIPART_TYPE}: {error}") from None

    def _begin(self, part: Field | File) -> None:
        if isinstance(part, File):
            if part.name != self._name or self.filename is not None:
                raise InvalidRequest(
                    f"The form may have one file, {self._name}; it has another, "
                    f"{str(part.name)[:100]!r}."
                )
            self.filename = part.filename
        elif part.name == self._name:
            raise InvalidRequest(
                f"{self._name}: send it as a file, with a filename.", param=self._name
            )
        self._part = part
        self._text.clear()

    def _add(self, data: bytes, *, is_last: bool) -> None:
        if isinstance(self._part, File):
            self._write(data)
            return
        self._text += data
        if len(self._text) > FIELD_BYTES:
            raise RequestEntityTooLarge
        if is_last and self._part:
            self.fields[str(self._part.name)] = self._text.decode()


def _boundary() -> bytes:
    boundary = request.mimetype_params.get("boundary", "")
    if request.mimetype != MULTIPART_TYPE or not boundary:
        raise UnsupportedMediaType(
            f"The content type is {request.mimetype or 'missing'}; send {MULTIPART_TYPE} with its "
            "boundary."
        )
    if codings(request.headers.get("Content-Encoding", "")):
        raise UnsupportedMediaType("Send a file without a content encoding.")
    if len(boundary) > LONGEST_BOUNDARY:
        raise MalformedRequest(f"The boundary is longer than {LONGEST_BOUNDARY} characters.")
    return boundary.encode()
