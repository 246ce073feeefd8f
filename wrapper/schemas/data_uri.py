"""Data URIs: content inside of the request itself (RFC 2397)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from wrapper.services.attachments.media import decode_base64, normal_base64, unescape

_HEADER = re.compile(r"\s*data:([^;,]*)((?:;[^;,]*)*),", re.IGNORECASE)
# A text without a header in this many first characters is not a data URI.
_LONGEST_HEADER = 300


@dataclass(frozen=True)
class DataUri:
    """A data URI. `media_type` is in lower case; `data` is as it was sent, in base64 or not."""

    media_type: str
    in_base64: bool
    data: str

    def content(self) -> bytes:
        """Return the decoded bytes. Raises ValueError if `data` cannot be decoded."""
        if not self.in_base64:
            return unescape(self.data)
        return decode_base64(normal_base64(self.data))


def parse_data_uri(text: str) -> DataUri | None:
    """Return *text* as a data URI, or None if it is not one."""
    header = _HEADER.match(text[:_LONGEST_HEADER])
    if not header:
        return None
    parameters = [parameter.strip() for parameter in header[2].lower().split(";")]
    return DataUri(header[1].strip().lower(), "base64" in parameters, text[header.end() :])
