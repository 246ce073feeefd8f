"""The limits above which Claude Code shrinks images."""

import pytest

from wrapper.services.attachments.images import ImageInfo
from wrapper.services.claude.protocol.image_limits import shrinks

EARLIER = [
    "claude-3-5-haiku-20241022",
    "claude-sonnet-4-20250514",
    "claude-opus-4-1",
    "claude-opus-4-5@20251101",
    "claude-opus-4-6",
    "us.anthropic.claude-sonnet-4-6-v1:0",
]
LATER = ["claude-opus-4-7", "claude-opus-4-8-20260101", "claude-sonnet-5", "opus", "mythos"]


@pytest.mark.parametrize("model", EARLIER + LATER)
@pytest.mark.parametrize(
    ("size", "width", "height", "shrunk"),
    [
        (512_000, 2000, 10, False),
        (512_000, 10, 2000, False),
        (512_001, 10, 10, True),
        (100, 2001, 1, True),
        (100, 1, 2001, True),
        (100, 1932, 1932, False),
        (100, 1848, 2000, False),
    ],
)
def test_edges(model, size, width, height, shrunk):
    """An image is unchanged up to 512,000 bytes and 2000 pixels a side."""
    assert shrinks(ImageInfo("p", size, width, height), model) is shrunk


@pytest.mark.parametrize("sides", [(1933, 1933), (2000, 1849), (2000, 2000)])
def test_models(sides):
    """Models after 4.6 get at most 69 x 69 patches."""
    large = ImageInfo("p", 100, *sides)
    assert not any(shrinks(large, model) for model in EARLIER)
    assert all(shrinks(large, model) for model in LATER)


def test_results():
    """Images in tool results are unchanged, whatever their size."""
    assert not shrinks(ImageInfo("p", 3_000_000, 8000, 8000, in_result=True), LATER[0])
