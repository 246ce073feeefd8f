"""Read an image's header, and decode the whole image to check it.

This runs in a child of the offload's fork server, which ends it if it takes too long.
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

# Otherwise every child would load the readers with its first image.
Image.preinit()
importlib.import_module("PIL.WebPImagePlugin")


def measure(body: bytes, media_type: str) -> dict[str, Any]:
    """Return the `width` and `height` from the header, and the number of `scans`.

    If the header cannot be read, return the reason as `broken`.
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
    """Decode the whole image, or an animation's first frame. Return the reason if that fails."""
    try:
        with _open(body, media_type) as image:
            if media_type == "image/jpeg":  # still decodes everything, but takes less memory
                image.draft(image.mode, (1, 1))
            image.load()
    except Exception as error:  # Pillow may raise anything
        return _reason(error)
    return None


def _size(data: bytes, media_type: str) -> tuple[int, int]:
    if media_type == "image/webp":  # Pillow would already allocate its pixels
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
    """Return a PNG without its metadata, which may be large, compressed or wrong."""
    kept = [data[:HEAD_BYTES]]
    for name, begin, end in chunks(data):
        if not is_ancillary(name) and not checksum_holds(data, begin, end):
            raise ValueError(f"the checksum of its chunk {name.decode('latin-1')} is wrong")
        if not is_ancillary(name) or name in NEEDED:
            kept.append(data[begin:end])
    return b"".join(kept)


def _scans(data: bytes) -> int:
    """Return the number of scans in a JPEG: each takes as much work as the whole image."""
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
    # Pillow's message for an unknown header holds a memory address.
    known = not isinstance(error, UnidentifiedImageError)
    return str(error)[:200] if known else "its header cannot be read"
