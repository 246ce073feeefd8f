"""The limits above which Claude Code shrinks an image before it sends it.

Measured with Claude Code 2.1.330, byte by byte and pixel by pixel, in every format; the live tests
measure them again. Claude Code encodes a shrunk image anew, and above SIDE adds a sentence to it.
"""

from __future__ import annotations

import re

from wrapper.services.attachments.images import ImageInfo

BYTES = 512_000
SIDE = 2000
# Later models see an image in patches of PATCH pixels a side, at most this many.
PATCH = 28
PATCHES = 69 * 69

# Models up to 4.6: claude-3-5-haiku-20241022, claude-opus-4-1, us.anthropic.claude-sonnet-4-6-v1:0.
_EARLIER = re.compile(r"claude-(3|instant|[a-z]+-4(?!-[7-9](?!\d)))")


def shrinks(image: ImageInfo, model: str) -> bool:
    """Say whether *model*, a full id, gets *image* smaller than the client sent it."""
    if image.in_result:  # Claude Code passes images in tool results on unchanged
        return False
    if image.size > BYTES or max(image.width, image.height) > SIDE:
        return True
    patches = -(-image.width // PATCH) * -(-image.height // PATCH)
    return patches > PATCHES and not _EARLIER.search(model)
