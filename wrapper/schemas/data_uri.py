"""The data URI: content that stands in a request itself, as RFC 2397 has it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from wrapper.services.attachments.media import decode_base64, normal_base64, unescape

_HEAD = re.compile(r"\s*data:([^;,]*)((?:;[^;,]*)*),", re.IGNORECASE)
# In this many of its first characters a head ends, or it is none.
_LONGEST_HEAD = 300


@dataclass(frozen=True)
class DataUri:
    """Its media type in lower case, whether its `data` is in base64, and that as it was written."""

    media_type: str
    in_base64: bool
    data: str

    def content(self) -> bytes:
        """Return the bytes that it holds. Raises ValueError where they cannot be read."""
        if not self.in_base64:
            return unescape(self.data)
        return decode_base64(normal_base64(self.data))


def parse_data_uri(text: str) -> DataUri | None:
    """Return the data URI that *text* is, or None where it is none."""
    head = _HEAD.match(text[:_LONGEST_HEAD])
    if not head:
        return None
    parameters = [parameter.strip() for parameter in head[2].lower().split(";")]
    return DataUri(head[1].strip().lower(), "base64" in parameters, text[head.end() :])
