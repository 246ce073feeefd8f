"""The betas that a client asks for."""

import pytest

from wrapper.services.fronts.message_betas import MOST_NAMED, SENT, ignored_betas


@pytest.mark.parametrize(
    ("header", "added", "ignored"),
    [
        ("", (), []),
        (",".join(SENT), (), []),
        (f"{SENT[0]}, files-api-2025-04-14", (), ["files-api-2025-04-14"]),
        ("files-api-2025-04-14", ("files-api-2025-04-14",), []),
        ("a-1,b-2,a-1,,", ("b-2",), ["a-1"]),
        ("x\x00y, a b,\u00fc", (), ["?"]),
    ],
)
def test_ignored_betas(header, added, ignored):
    """A beta is named unless Claude Code or the operator sends it; other texts are not repeated."""
    expected = tuple(f"anthropic-beta: {name}" for name in ignored)
    assert ignored_betas(header, added) == expected


def test_long_header():
    """However many betas a client asks for, the note stays short."""
    notes = ignored_betas(",".join(f"beta-{number}" for number in range(10_000)), ())
    assert len(notes) == MOST_NAMED + 1
    assert len(", ".join(notes)) < 4000
