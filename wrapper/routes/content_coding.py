"""Content codings: compressed bodies are expanded up to the size limit of every body."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from werkzeug.exceptions import RequestEntityTooLarge

from wrapper.errors import MalformedRequest, UnsupportedMediaType
from wrapper.json_text import Bytes

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STEP_BYTES = 64 * 1024
# A body may consist of several compressed parts in a row. Each part costs time.
MAX_PARTS = 1000
MAX_CODINGS = 4
# RFC 9659: decoders must support windows of up to 8 MiB.
ZSTD_WINDOW: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 23}

_zstd = partial(zstd.ZstdDecompressor, options=ZSTD_WINDOW)
_gzip = partial(zlib.decompressobj, zlib.MAX_WBITS + 16)
_zlib = partial(zlib.decompressobj, zlib.MAX_WBITS)
_raw = partial(zlib.decompressobj, -zlib.MAX_WBITS)
# The decoders to try for each coding, and whether it allows several parts. By RFC 9110 `deflate`
# means zlib's format; many clients send it without zlib's header.
DECODERS: dict[str, tuple[tuple[Callable[[], Any], ...], bool]] = {
    "gzip": ((_gzip,), True),
    "deflate": ((_zlib, _raw), False),
    "zstd": ((_zstd,), True),
}
ALIASES = {"x-gzip": "gzip"}


def codings(header: str) -> list[str]:
    """Return the codings in a Content-Encoding *header*, in the order in which they were applied.

    Raises UnsupportedMediaType if one of them is unknown.
    """
    names = [name.strip().lower() for name in header.split(",")]
    applied = [ALIASES.get(name, name) for name in names if name not in ("", "identity")]
    if len(applied) > MAX_CODINGS or not DECODERS.keys() >= set(applied):
        accepted = ", ".join(DECODERS)
        raise UnsupportedMediaType(
            f"The content encoding {header[:100]!r} is not supported; send {accepted} or none.",
            headers={"Accept-Encoding": accepted},
        )
    return applied


def expand(data: Bytes, applied: Sequence[str], limit: int) -> Bytes:
    """Undo the codings that were *applied* to *data*, and return the result.

    Raises MalformedRequest if the data is not encoded so, is truncated or continues after its end,
    and RequestEntityTooLarge as soon as the result exceeds *limit* bytes.
    """
    for name in reversed(applied):
        decoders, allows_parts = DECODERS[name]
        for decoder in decoders:
            try:
                data = _expand(decoder, data, limit, allows_parts)
                break
            except (zlib.error, zstd.ZstdError, ValueError):
                continue
        else:
            raise MalformedRequest(f"The body is not valid {name}: it is damaged or incomplete.")
    return data


def _expand(make: Callable[[], Any], data: Bytes, limit: int, allows_parts: bool) -> bytes:
    """Decode *data* with decoders from *make*, each for one part."""
    expanded, decoder, parts = bytearray(), make(), 1
    for start in range(0, len(data), STEP_BYTES):
        rest = data[start : start + STEP_BYTES]
        while rest:
            if decoder.eof:
                if not allows_parts or parts == MAX_PARTS:
                    raise ValueError("continues after its end")
                decoder, parts = make(), parts + 1
            expanded += decoder.decompress(rest, limit + 1 - len(expanded))
            if len(expanded) > limit:
                raise RequestEntityTooLarge
            rest = decoder.unused_data if decoder.eof else b""
    if not decoder.eof:
        raise ValueError("truncated")
    return bytes(expanded)
