"""gunicorn's request parser, which also knows how much of a body is unread."""

from __future__ import annotations

from typing import Any

from gunicorn.http.body import Body, ChunkedReader, EOFReader, LengthReader
from gunicorn.http.errors import InvalidChunkSize, ParseException
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser

# The rest of an unread body is drained up to this length, so that the connection can be reused. If
# more is left, the answer says `Connection: close`.
DRAIN_BYTES = 64 * 1024
MAX_CHUNKS = 65_536


class _Continue:
    """A body's *reader* that sends `100 Continue` when it is read first, which may never happen."""

    def __init__(self, reader: Any, sock: Any):
        self.reader = reader
        self.begun = False
        self._sock = sock

    def read(self, size: int) -> bytes:
        if not self.begun:
            self.begun = True
            self._sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        return bytes(self.reader.read(size))


class _ChunkedReader(ChunkedReader):
    """Reads a chunked body. Each chunk costs time, however small, so their number is limited."""

    _chunks = 0

    def parse_chunk_size(self, unreader: Any, data: Any = None) -> Any:
        self._chunks += 1
        if self._chunks > MAX_CHUNKS:
            raise InvalidChunkSize(b"more than %d chunks" % MAX_CHUNKS)
        return super().parse_chunk_size(unreader, data)


class _Request(Request):
    body: Any
    unreader: Any
    _expected_100_continue: bool

    def __init__(self, *args: Any):
        try:
            super().__init__(*args)
        except ParseException as fault:
            # The shape of the answer follows from it.
            fault.path = self.path or ""  # type: ignore[attr-defined]
            raise

    def set_body_reader(self) -> None:
        super().set_body_reader()
        if isinstance(self.body.reader, EOFReader):  # a request without a length has no body
            self.body = Body(LengthReader(self.unreader, 0))
        elif isinstance(self.body.reader, ChunkedReader):
            self.body = Body(_ChunkedReader(self, self.unreader))
        if self._expected_100_continue:
            self._expected_100_continue = False  # gunicorn would send it before the key is checked
            self.body.reader = _Continue(self.body.reader, self.unreader.sock)

    def should_close(self) -> bool:
        return bool(super().should_close()) or self._unfinished()

    def _unfinished(self) -> bool:
        """Return whether the start of the next request cannot be reached soon."""
        if self.unreader.sock.timed_out or getattr(self.body, "failed", False):
            return True
        reader = self.body.reader
        if isinstance(reader, _Continue):
            if not reader.begun:  # the client may or may not send its body
                return True
            reader = reader.reader
        if isinstance(reader, ChunkedReader):
            return reader.parser is not None
        return int(reader.length) > DRAIN_BYTES


class Parser(RequestParser):
    """Parses the requests on a connection."""

    mesg_class = _Request
