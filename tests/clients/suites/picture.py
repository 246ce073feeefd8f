"""A picture that suites send: a black PNG of eight by eight pixels."""

import struct
import zlib


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PICTURE = b"\x89PNG\r\n\x1a\n" + b"".join(
    [
        _chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)),
        _chunk(b"IDAT", zlib.compress(bytes(8 * 9))),
        _chunk(b"IEND", b""),
    ]
)
