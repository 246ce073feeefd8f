"""Read the chunks of a PNG file."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

HEAD_BYTES = 8


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the type of each chunk of a PNG, and the positions of its begin and end.

    Raises ValueError if a chunk is truncated, or the last one is missing.
    """
    begin, name = HEAD_BYTES, b""
    while name != b"IEND":
        end = begin + 12 + int.from_bytes(data[begin : begin + 4])
        if begin + 12 > len(data) or end > len(data):
            raise ValueError("it is cut off")
        name = data[begin + 4 : begin + 8]
        yield name, begin, end
        begin = end


def is_ancillary(name: bytes) -> bool:
    """Say whether a chunk of this type is optional."""
    return bool(name[0] & 0x20)


def checksum_holds(data: bytes, begin: int, end: int) -> bool:
    """Say whether the checksum of the chunk from *begin* to *end* is right."""
    return zlib.crc32(data[begin + 4 : end - 4]) == int.from_bytes(data[end - 4 : end])
