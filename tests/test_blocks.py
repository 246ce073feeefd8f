"""The blocks: a message's parts as the Messages API has them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrapper.services.claude.blocks import blocks_of
from wrapper.services.turn import Call, Document, Image, Message, Result


@pytest.mark.parametrize(
    ("part", "block"),
    [
        ("a", {"type": "text", "text": "a"}),
        (
            Image("image/png", "AAAA"),
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"},
            },
        ),
        (
            Image(url="https://x.test/a.png"),
            {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
        ),
        (
            Document("application/pdf", "AAAA", "a.pdf"),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"},
                "title": "a.pdf",
            },
        ),
        (
            Document("text/plain", "a"),
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "a"},
            },
        ),
        (
            Call("a", "f", '{"x": [1]}'),
            {"type": "tool_use", "id": "a", "name": "f", "input": {"x": [1]}},
        ),
        (
            Result("a", ("b",)),
            {
                "type": "tool_result",
                "tool_use_id": "a",
                "content": [{"type": "text", "text": "b"}],
            },
        ),
    ],
)
def test_blocks(part, block):
    """Each part has its block."""
    assert blocks_of(Message("user", (part,))) == [block]


def ids_of(call_id):
    parts = (Call(call_id, "f", "{}"), Result(call_id, ()))
    call, result = blocks_of(Message("user", parts))
    return call["id"], result["tool_use_id"]


IDS = st.text(min_size=1, max_size=8).filter(lambda text: text.isprintable())


@given(IDS | st.from_regex(r"hex_[0-9a-f]{0,4}", fullmatch=True), IDS)
def test_ids(one, other):
    """Any id becomes one that the API takes, the same for call and result, and no other's."""
    assert len(set(ids_of(one))) == 1
    assert re.fullmatch("[a-zA-Z0-9_-]+", ids_of(one)[0])
    assert (ids_of(one) == ids_of(other)) == (one == other)


@pytest.mark.parametrize("call_id", ["call_abc-1", "toolu_01", "A"])
def test_ids_that_are_taken(call_id):
    """An id that the API takes is left as it is."""
    assert ids_of(call_id) == (call_id, call_id)
