"""The image check: what an image's head says, and whether the whole image can be read.

It runs in a child of the offload's fork server, which ends it where it takes too long.
"""

from __future__ import annotations

import importlib
import io
import struct
from typing import Any

from PIL import Image, UnidentifiedImageError

from wrapper.services.attachments.png import HEAD_BYTES, checksum_holds, chunks, is_ancillary

FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/gif": "GIF", "image/webp": "WEBP"}
# Ancillary chunks that change how pixels are read; the others are metadata.
NEEDED = (b"tRNS",)
# JPEG markers that stand alone, in the data of a scan too: stuffing, TEM, RST0 to RST7, SOI.
ALONE = frozenset({0x00, 0x01, *range(0xD0, 0xD9)})
START_OF_SCAN, END_OF_IMAGE, FILL = 0xDA, 0xD9, 0xFF

# Else the readers are loaded with the first image, in each child.
Image.preinit()
importlib.import_module("PIL.WebPImagePlugin")


def measure(body: bytes, media_type: str) -> dict[str, Any]:
    """Return the `width` and `height` that the head names, and the number of `scans`.

    What cannot be read is told as `broken`.
    """
    try:
        width, height = _size(body, media_type)
    except Image.DecompressionBombError:
        return {"broken": "it has too many pixels"}
    except Exception as error:
        return {"broken": _reason(error)}
    scans = _scans(body) if media_type == "image/jpeg" else 1
    return {"width": width, "height": height, "scans": scans}


def decode(body: bytes, media_type: str) -> str | None:
    """Read the whole image; of an animated one, the first frame. Return why it cannot be read."""
    try:
        with _open(body, media_type) as image:
            if media_type == "image/jpeg":  # which is read whole, but takes less memory
                image.draft(image.mode, (1, 1))
            image.load()
    except Exception as error:  # Pillow raises what it happens to come upon
        return _reason(error)
    return None


def _size(data: bytes, media_type: str) -> tuple[int, int]:
    if media_type == "image/webp":  # Pillow would make room for its pixels already
        return _webp_size(data)
    with _open(data, media_type) as image:
        return image.size


def _webp_size(data: bytes) -> tuple[int, int]:
    head = data[:30].ljust(30, b"\0")
    if head[12:16] == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack("<HH", head[26:30])
    return width & 0x3FFF, height & 0x3FFF


def _open(data: bytes, media_type: str) -> Image.Image:
    needed = _without_metadata(data) if media_type == "image/png" else data
    return Image.open(io.BytesIO(needed), formats=(FORMATS[media_type],))


def _without_metadata(data: bytes) -> bytes:
    """Return a PNG without what need not be read, which may be large, compressed or wrong."""
    kept = [data[:HEAD_BYTES]]
    for name, at, end in chunks(data):
        if not is_ancillary(name) and not checksum_holds(data, at, end):
            raise ValueError(f"the checksum of its chunk {name.decode('latin-1')} is wrong")
        if not is_ancillary(name) or name in NEEDED:
            kept.append(data[at:end])
    return b"".join(kept)


def _scans(data: bytes) -> int:
    """Return how many scans a JPEG has: each is as much work as the whole image."""
    scans, at = 0, 2
    while (at := data.find(b"\xff", at)) >= 0 and at + 4 <= len(data):
        marker = data[at + 1]
        if marker == FILL:
            at += 1
        elif marker in ALONE:
            at += 2
        elif marker == END_OF_IMAGE:
            break
        else:
            scans += marker == START_OF_SCAN
            at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return scans


def _reason(error: Exception) -> str:
    # What Pillow says of a head that it cannot read names an address in memory.
    known = not isinstance(error, UnidentifiedImageError)
    return str(error)[:200] if known else "its head says nothing"
