"""The PNG: its chunks, and which of them are metadata."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

HEAD_BYTES = 8


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the type of each chunk of a PNG, and where the whole chunk begins and ends.

    Raises ValueError where one is cut off, or none is the last one.
    """
    at, name = HEAD_BYTES, b""
    while name != b"IEND":
        end = at + 12 + int.from_bytes(data[at : at + 4])
        if at + 12 > len(data) or end > len(data):
            raise ValueError("it is cut off")
        name = data[at + 4 : at + 8]
        yield name, at, end
        at = end


def is_ancillary(name: bytes) -> bool:
    return bool(name[0] & 0x20)


def checksum_holds(data: bytes, at: int, end: int) -> bool:
    """Say whether a PNG's chunk, which stands from *at* to *end*, is as it was written."""
    return zlib.crc32(data[at + 4 : end - 4]) == int.from_bytes(data[end - 4 : end])
