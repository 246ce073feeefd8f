"""Images for tests, of any format, sides and size."""

from __future__ import annotations

import base64
import io
import random
import struct
import zlib

from PIL import Image

FORMATS = ("png", "jpeg", "gif", "webp")


def picture(kind: str = "png", width: int = 30, height: int = 20, size: int = 0) -> bytes:
    """Return an image of one colour, padded to *size* bytes."""
    held = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 40)).save(held, kind)
    return padded(kind, held.getvalue(), size)


def noise(kind: str, width: int = 60, height: int = 40) -> bytes:
    """Return an image that no format can compress well."""
    held = io.BytesIO()
    pixels = random.Random(0).randbytes(width * height * 3)
    Image.frombytes("RGB", (width, height), pixels).save(held, kind)
    return held.getvalue()


def padded(kind: str, data: bytes, size: int) -> bytes:
    """Return *data* padded to *size* bytes by a comment in the image's format."""
    more = size - len(data)
    if more <= 0:
        return data
    if kind == "png":
        body = b"prVt" + bytes(more - 12)
        chunk = struct.pack(">I", more - 12) + body + struct.pack(">I", zlib.crc32(body))
        return data[:33] + chunk + data[33:]
    if kind == "jpeg":
        lengths = [60_000] * (more // 60_000 - 1) + [30_000, more % 60_000 + 30_000]
        comments = (b"\xff\xfe" + struct.pack(">H", n - 2) + bytes(n - 4) for n in lengths)
        return data[:2] + b"".join(comments) + data[2:]
    if kind == "gif":
        return data[:-1] + b"\x21\xfe" + _sub_blocks(more - 3) + b"\0" + data[-1:]
    body = data[8:] + b"XMP " + struct.pack("<I", more - 8) + bytes(more - 8)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _sub_blocks(length: int) -> bytes:
    whole, rest = divmod(length, 256)
    if rest == 1:  # an empty block would end the comment
        return bytes([1, 65]) + bytes([254]) + bytes(254) + _sub_blocks(length - 257)
    return (bytes([255]) + bytes(255)) * whole + (
        bytes([rest - 1]) + bytes(rest - 1) if rest else b""
    )


def uri(data: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def part(data: bytes, kind: str = "png") -> dict[str, object]:
    """Return an image as a content part of a message."""
    return {"type": "image_url", "image_url": {"url": uri(data, f"image/{kind}")}}
