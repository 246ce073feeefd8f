"""Content codings: compressed bodies, expanded within the limit that holds for others."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from werkzeug.exceptions import RequestEntityTooLarge

from wrapper.errors import MalformedRequest, UnsupportedMediaType

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STEP_BYTES = 64 * 1024
# A body may be compressed in parts that follow each other, each of which costs time.
MOST_PARTS = 1000
MOST_CODINGS = 4
# RFC 9659: what a decoder of this coding must have memory for, 8 MiB.
ZSTD_WINDOW: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 23}

_zstd = partial(zstd.ZstdDecompressor, options=ZSTD_WINDOW)
_gzip = partial(zlib.decompressobj, zlib.MAX_WBITS + 16)
_zlib = partial(zlib.decompressobj, zlib.MAX_WBITS)
_raw = partial(zlib.decompressobj, -zlib.MAX_WBITS)
# What may decode each coding, and whether there may be several parts. By RFC 9110 `deflate` is
# zlib's format; many clients send it without zlib's head.
DECODERS: dict[str, tuple[tuple[Callable[[], Any], ...], bool]] = {
    "gzip": ((_gzip,), True),
    "deflate": ((_zlib, _raw), False),
    "zstd": ((_zstd,), True),
}
ALIASES = {"x-gzip": "gzip"}


def codings(header: str) -> list[str]:
    """Return the codings in a Content-Encoding *header*, in the order of their application.

    Raises UnsupportedMediaType for one that is not known.
    """
    names = [name.strip().lower() for name in header.split(",")]
    found = [ALIASES.get(name, name) for name in names if name not in ("", "identity")]
    if len(found) > MOST_CODINGS or not DECODERS.keys() >= set(found):
        accepted = ", ".join(DECODERS)
        raise UnsupportedMediaType(
            f"The content encoding {header[:100]!r} is not supported; send {accepted} or none.",
            headers={"Accept-Encoding": accepted},
        )
    return found


def expand(data: bytes, applied: Sequence[str], limit: int) -> bytes:
    """Return what *data* was before the codings were *applied*.

    Raises MalformedRequest for what is not so encoded, is truncated or goes on after its end, and
    RequestEntityTooLarge at *limit* bytes, without expanding more.
    """
    for name in reversed(applied):
        decoders, several = DECODERS[name]
        for decoder in decoders:
            try:
                data = _expand(decoder, data, limit, several)
                break
            except (zlib.error, zstd.ZstdError, ValueError):
                continue
        else:
            raise MalformedRequest(f"The body is not valid {name}: it is damaged or incomplete.")
    return data


def _expand(make: Callable[[], Any], data: bytes, limit: int, several: bool) -> bytes:
    """Return what decoders that *make* returns read from *data*, of *several* parts or of one."""
    expanded, decoder, parts = bytearray(), make(), 1
    for at in range(0, len(data), STEP_BYTES):
        rest = data[at : at + STEP_BYTES]
        while rest:
            if decoder.eof:
                if not several or parts == MOST_PARTS:
                    raise ValueError("it goes on after its end")
                decoder, parts = make(), parts + 1
            expanded += decoder.decompress(rest, limit + 1 - len(expanded))
            if len(expanded) > limit:
                raise RequestEntityTooLarge
            rest = decoder.unused_data if decoder.eof else b""
    if not decoder.eof:
        raise ValueError("it breaks off")
    return bytes(expanded)
