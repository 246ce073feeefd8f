"""The codec of records: what it writes, it reads back unchanged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrapper.services.responses.codec import (
    Unreadable,
    decode,
    encode,
    from_text,
    pack,
    to_text,
    unpack,
)
from wrapper.services.responses.record import ResponseRecord

PARTS = st.binary(max_size=50)
RECORDS = st.builds(
    ResponseRecord,
    st.lists(st.text("0123456789abcdef_", max_size=40), max_size=5).map(tuple),
    st.integers(0, 2**40),
    PARTS,
    PARTS,
    PARTS,
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(RECORDS)
def test_record(record):
    """A record survives, whatever bytes are in its parts."""
    assert decode(encode(record)) == record


@given(VALUES)
def test_value(value):
    """A value survives, also a text that is no valid Unicode."""
    assert from_text(unpack(pack(to_text(value)))) == value


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"x\ny", b'{"path": 3, "size": 1, "lengths": [0, 0, 0]}\n', b"[]\n"]
)
def test_foreign_record(data):
    """Bytes that the codec has not written are refused."""
    with pytest.raises(Unreadable):
        decode(data)


def test_foreign_part():
    """Parts that the codec has not written are refused."""
    with pytest.raises(Unreadable):
        unpack(b"x")
    with pytest.raises(Unreadable):
        from_text(b"\xff")
