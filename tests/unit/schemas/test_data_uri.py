"""Data URIs, and texts that are not."""

import pytest

from wrapper.schemas.data_uri import DataUri, parse_data_uri


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("data:,a", DataUri("", False, "a")),
        ("data:text/plain;base64,YQ==,b", DataUri("text/plain", True, "YQ==,b")),
        ("data:text/plain", None),
        ("http://x.test/,", None),
        (f"data:{'x' * 400},a", None),
    ],
)
def test_data_uris(text, uri):
    """A data URI's header ends at its first comma; the data follows."""
    assert parse_data_uri(text) == uri
