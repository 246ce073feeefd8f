"""The shrinking: which pictures Claude Code makes smaller before it sends them. Pure.

Measured with Claude Code 2.1.330, byte by byte and pixel by pixel, in every format; the live tests
measure it again. What it makes smaller becomes another file, and above SIDE also gets a sentence.
"""

from __future__ import annotations

import re

from wrapper.services.attachments.images import ImageInfo

BYTES = 512_000
SIDE = 2000
# Later models see a picture in patches, of which it may have this many.
PATCH = 28
PATCHES = 69 * 69

# Models up to 4.6: claude-3-5-haiku-20241022, claude-opus-4-1, us.anthropic.claude-sonnet-4-6-v1:0.
_EARLIER = re.compile(r"claude-(3|instant|[a-z]+-4(?!-[7-9](?!\d)))")


def shrinks(picture: ImageInfo, model: str) -> bool:
    """Say whether *model*, named by its full id, gets *picture* smaller than it was sent."""
    if picture.in_result:  # those are handed on as they are
        return False
    if picture.size > BYTES or max(picture.width, picture.height) > SIDE:
        return True
    patches = -(-picture.width // PATCH) * -(-picture.height // PATCH)
    return patches > PATCHES and not _EARLIER.search(model)
