"""The presenter of the Messages API: a whole message is the sum of its events."""

from typing import Any

import pytest

from wrapper.errors import BadGateway, Overloaded
from wrapper.services.events import Ended, Ending, RawEvent, Started, Used
from wrapper.services.fronts.messages import MessagesPresenter
from wrapper.services.spent import Usage

MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "sonnet",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 1},
}
END = {"stop_reason": "end_turn", "stop_sequence": None}


def block(index, opening, *deltas):
    """Return the events of one content block."""
    return [
        {"type": "content_block_start", "index": index, "content_block": opening},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def message_of(*blocks, delta=END, usage=None, **fields):
    """Return the whole message of a stream with these *blocks*."""
    events = [
        {"type": "message_start", "message": MESSAGE},
        *(event for events in blocks for event in events),
        {"type": "message_delta", "delta": delta, "usage": usage, **fields},
        {"type": "message_stop"},
    ]
    items: list[Any] = [(0, Started("sonnet")), (0, Used({})), None]
    items += [(0, RawEvent(event)) for event in events]
    return MessagesPresenter().whole([*items, (0, Ended(Ending.DONE, Usage(), None))])


def text(*pieces):
    return [{"type": "text_delta", "text": piece} for piece in pieces]


def inputs(*pieces):
    return [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]


CALL = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
THINKING = {"type": "thinking", "thinking": "", "signature": ""}
CITED = {"type": "text", "text": "", "citations": []}
PLACES = [{"type": "char_location", "start_char_index": at} for at in (0, 5)]
CASES: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "text": (block(0, {"type": "text", "text": ""}, *text("Hel", "lo")), {"text": "Hello"}),
    "thinking": (
        block(
            0,
            THINKING,
            {"type": "thinking_delta", "thinking": "Let "},
            {"type": "thinking_delta", "thinking": "me see."},
            {"type": "signature_delta", "signature": "sig"},
        ),
        {"thinking": "Let me see.", "signature": "sig"},
    ),
    "redacted": (block(0, {"type": "redacted_thinking", "data": "xyz"}), {"data": "xyz"}),
    "arguments": (block(0, CALL, *inputs('{"a": [', "1, 2]}")), {"input": {"a": [1, 2]}}),
    "no arguments": (block(0, CALL), {"input": {}}),
    "arguments cut off": (block(0, CALL, *inputs('{"a": [')), {"input": {}}),
    "arguments that are no JSON": (block(0, CALL, *inputs("NaN")), {"input": {}}),
    "arguments that are too large": (block(0, CALL, *inputs("[1e999]")), {"input": {}}),
    "citations": (
        block(0, CITED, *({"type": "citations_delta", "citation": p} for p in PLACES)),
        {"citations": PLACES},
    ),
    "a result of the provider's": (
        block(0, {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"a": 1}]}),
        {"content": [{"a": 1}]},
    ),
    "a new delta": (
        block(0, {"type": "new"}, {"type": "new_delta", "new": "a", "n": 1}, {"new": "b", "n": 2}),
        {"new": "ab", "n": 2},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_block(name):
    """Each block is what its deltas add up to."""
    events, expected = CASES[name]
    (content,) = message_of(events)["content"]
    assert {field: content[field] for field in expected} == expected
    assert content["type"] == events[0]["content_block"]["type"]


def test_order():
    """Blocks stand in the order of their indexes."""
    both = [block(at, {"type": "text", "text": ""}, *text(str(at))) for at in (1, 0)]
    assert [content["text"] for content in message_of(*both)["content"]] == ["0", "1"]


def test_end():
    """The end of the stream completes the message's usage, and adds nothing to it."""
    delta = {"stop_reason": "stop_sequence", "stop_sequence": "END"}
    management: dict[str, Any] = {"applied_edits": []}
    message = message_of(
        delta=delta,
        usage={"input_tokens": None, "output_tokens": 9},
        context_management=management,
    )
    usage = {"input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 9}
    assert message == {**MESSAGE, **delta, "usage": usage, "context_management": management}


def test_events_stay():
    """Putting a message together changes no event."""
    opening = {"type": "text", "text": "", "citations": None}
    message_of(block(0, opening, *text("Hi"), {"type": "citations_delta", "citation": {}}))
    assert opening == {"type": "text", "text": "", "citations": None}
    assert MESSAGE["content"] == []


def test_no_answer():
    """A turn without any event of the API is an error."""
    with pytest.raises(BadGateway, match="without an answer"):
        MessagesPresenter().whole([(0, Ended(Ending.DONE, Usage(), None))])


def test_silence():
    """For a time of silence there is the API's own event."""
    assert list(MessagesPresenter().chunks([None])) == [None]
    assert MessagesPresenter().keepalive() == {"type": "ping"}


def test_failure():
    """An error in the middle of a stream names the request."""
    assert MessagesPresenter("req_1").failure(Overloaded("busy")) == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "busy"},
        "request_id": "req_1",
    }
