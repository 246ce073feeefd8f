"""Events in an impossible order are an error."""

import pytest

from wrapper.errors import BadGateway
from wrapper.services.claude.protocol.event_order import EventOrder

BLOCK = ("content_block_start", "content_block_delta", "content_block_stop")


@pytest.mark.parametrize(
    "kinds",
    [
        ("message_start", *BLOCK, *BLOCK, "message_delta", "message_stop"),
        ("message_start", "message_delta", "message_stop", "message_start"),
        ("ping", "message_start", "ping", *BLOCK),
        ("message_start", "message_start"),
    ],
)
def test_possible_orders(kinds):
    """A message may hold blocks, and events of other types may come anywhere."""
    order = EventOrder()
    for kind in kinds:
        order.check(kind)


@pytest.mark.parametrize(
    "kinds",
    [
        ("content_block_start",),
        ("content_block_delta",),
        ("message_delta",),
        ("message_start", "message_stop", "message_delta"),
        ("message_start", "content_block_start", "message_delta"),
    ],
)
def test_impossible_orders(kinds):
    """A block outside of a message, and the end of a message within a block, are refused."""
    *before, last = kinds
    order = EventOrder()
    for kind in before:
        order.check(kind)
    with pytest.raises(BadGateway, match="wrong order"):
        order.check(last)


def test_broken_off_block():
    """After a message was broken off within a block, its end is accepted."""
    order = EventOrder()
    order.check("message_start")
    order.check("content_block_start")
    order.abandon()
    order.check("message_delta")
