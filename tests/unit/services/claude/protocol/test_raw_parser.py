"""The raw parser passes the events of the model's API on, and follows how the turn ends."""

import json

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from wrapper.errors import BadGateway
from wrapper.routes.sse import TYPED
from wrapper.services.claude.protocol.decoder import read_frame
from wrapper.services.claude.protocol.raw_parser import RawParser
from wrapper.services.events import Ended, Ending, RawEvent, Started, Used
from wrapper.services.fronts.messages import MessagesPresenter
from wrapper.services.spent import Spent, Usage

RESULT = {
    "modelUsage": {"sonnet": {"inputTokens": 9, "outputTokens": 70, "costUSD": 0.5}},
    "total_cost_usd": 0.5,
}


def start(**fields):
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "sonnet"}
    usage = {"input_tokens": 9, "output_tokens": 1}
    return {"type": "message_start", "message": {**message, "usage": usage, **fields}}


def stop(reason, output=2):
    delta = {"stop_reason": reason, "stop_sequence": None}
    return {"type": "message_delta", "delta": delta, "usage": {"output_tokens": output}}


END = {"type": "message_stop"}
BLOCK = (
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
    {"type": "content_block_stop", "index": 0},
)


def read(*raw):
    """Return the parser after the *raw* events, and the turn's events."""
    parser = RawParser()
    return parser, [event for raw_event in raw for event in parser.read(raw_event)]


def raw_of(events):
    return [event.data for event in events if isinstance(event, RawEvent)]


# Every stream that the API may send

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, width=32)
    # JavaScript writes no lone surrogates, and neither infinities.
    .filter(lambda number: abs(number) < 1e30)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc_"), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.from_regex(r"[a-z_0-9]{1,30}", fullmatch=True)
FIELDS = st.dictionaries(
    NAMES.filter(lambda name: name not in ("type", "index", "delta", "message", "usage")),
    JSON,
    max_size=3,
)
KINDS = (
    st.sampled_from(
        ["text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "mcp_tool_use"]
    )
    | st.sampled_from(["web_search_tool_result", "code_execution_tool_result", "compaction"])
    | NAMES
)
DELTAS = (
    st.builds(lambda text: {"type": "text_delta", "text": text}, st.text())
    | st.builds(lambda text: {"type": "thinking_delta", "thinking": text}, st.text())
    | st.builds(lambda text: {"type": "signature_delta", "signature": text}, st.text())
    | st.builds(lambda text: {"type": "input_json_delta", "partial_json": text}, st.text())
    | st.builds(lambda value: {"type": "citations_delta", "citation": value}, FIELDS)
    | st.builds(lambda kind, more: {**more, "type": kind}, NAMES, FIELDS)
)
OTHERS = st.builds(
    lambda kind, more: {**more, "type": kind},
    st.just("ping") | NAMES.filter(lambda name: not name.startswith(("message", "content"))),
    FIELDS,
)
COUNTS = st.fixed_dictionaries({"output_tokens": st.integers(0, 10**6)})
REASONS = (
    st.sampled_from(
        [
            *("end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal"),
            "model_context_window_exceeded",
        ]
    )
    | NAMES
)


@st.composite
def blocks(draw, index):
    opening = {"type": draw(KINDS), **draw(FIELDS)}
    yield_ = [{"type": "content_block_start", "index": index, "content_block": opening}]
    for delta in draw(st.lists(DELTAS, max_size=4)):
        yield_.append({"type": "content_block_delta", "index": index, "delta": delta})
    return [*yield_, {"type": "content_block_stop", "index": index, **draw(FIELDS)}]


@st.composite
def streams(draw):
    """Return the events of a message, with others anywhere between them."""
    events = [{**draw(FIELDS), **start(**draw(FIELDS))}]
    for index in range(draw(st.integers(0, 3))):
        events += draw(blocks(index))
    delta = {**draw(FIELDS), "stop_reason": draw(REASONS)}
    events.append({"type": "message_delta", "delta": delta, "usage": draw(COUNTS), **draw(FIELDS)})
    events.append({"type": "message_stop", **draw(FIELDS)})
    with_others = [events[0]]
    for event in events[1:]:
        with_others += [*draw(st.lists(OTHERS, max_size=1)), event]
    return with_others


def sent(events):
    """Return what a client reads of a stream, after all that the gateway does to *events*."""
    parser = RawParser()
    frames = (read_frame(json.dumps({"type": "e", "event": event}).encode()) for event in events)
    items = ((0, item) for frame in frames for item in parser.read(frame["event"]))
    written = b"".join(TYPED.frame(chunk) for chunk in MessagesPresenter().chunks(items) if chunk)
    # A line ends with a line feed only: other separators may stand in a text.
    pieces = [piece.split("\n") for piece in written.decode().split("\n\n")[:-1]]
    for name, data in pieces:
        parsed = json.loads(data.removeprefix("data: "))
        assert name == f"event: {parsed['type']}"
        yield parsed


@given(streams())
def test_any_stream(events):
    """Any stream that the API may send comes out the same."""
    assert list(sent(events)) == events


@given(streams())
@hypothesis_settings(max_examples=30)
def test_usage(events):
    """The usage of any stream is counted before the events that it paid for."""
    parser, passed = read(*events)
    output = next(e for e in events if e["type"] == "message_delta")["usage"]["output_tokens"]
    used = [event for event in passed if isinstance(event, Used)]
    assert used[-1].spent == {"sonnet": Spent(Usage(input=9, output=output))}
    assert used[-1].requests == 1
    kinds = [type(event) for event in passed]
    assert kinds[:3] == [Started, Used, RawEvent]
    assert parser.end(None).usage == Usage(input=9, output=output)


# How a turn ends


@pytest.mark.parametrize(
    ("reason", "ending"),
    [
        ("end_turn", Ending.DONE),
        ("stop_sequence", Ending.DONE),
        ("pause_turn", Ending.DONE),
        ("something_new", Ending.DONE),
        ("max_tokens", Ending.LENGTH),
        ("model_context_window_exceeded", Ending.LENGTH),
        ("refusal", Ending.REFUSED),
        ("tool_use", Ending.CALLS),
    ],
)
def test_endings(reason, ending):
    """A turn ends for the API's reason, whatever Claude Code does then."""
    parser, _ = read(start(), *BLOCK, stop(reason), END)
    parser.exhaust("max_turns")
    assert parser.end(RESULT) == Ended(ending, Usage(input=9, output=70), 0.5)
    assert list(parser.rest(RESULT)) == []


def test_further_message():
    """What Claude Code asks the model by itself does not show."""
    parser, passed = read(start(), stop("max_tokens"), END, start(), *BLOCK, stop("end_turn"), END)
    assert raw_of(passed) == [start(), stop("max_tokens"), END]
    assert parser.limited
    assert parser.went_on


def test_killed():
    """A message gets its end if Claude Code was killed before it wrote that."""
    parser, passed = read(start(), stop("max_tokens"))
    assert raw_of([*passed, *parser.rest(None)]) == [start(), stop("max_tokens"), END]


BROKEN = (start(), *BLOCK[:2], stop(None), END)


def test_broken_off():
    """A message that broke off gets no end: an error follows."""
    parser, passed = read(*BROKEN)
    assert raw_of(passed) == [start(), *BLOCK[:2]]
    assert list(parser.rest(RESULT)) == []
    assert parser.broke_off
    assert parser.end(RESULT) is None


def test_asked_again():
    """A second message after one that broke off is an error: its text would follow the first's."""
    with pytest.raises(BadGateway, match="broke off"):
        read(*BROKEN, start())


def test_left():
    """If the client has left, a turn without an end was abandoned."""
    parser, _ = read(start())
    parser.abandon()
    assert list(parser.rest(None)) == []
    assert parser.end(None).ending is Ending.ABANDONED


@pytest.mark.parametrize("category", [None, "cyber"])
def test_refusal(category):
    """A refusal, which Claude Code reports apart, ends the message as the API writes it."""
    parser, passed = read(start(), *BLOCK)
    parser.refuse({"api_refusal_category": category, "api_refusal_explanation": None})
    passed += [event for raw in (stop(None, 1), END) for event in parser.read(raw)]
    *before, delta, end = raw_of([*passed, *parser.rest(RESULT)])
    assert before == [start(), *BLOCK]
    assert end == END
    details = {"type": "refusal", "category": category, "explanation": None}
    more = {"stop_details": details} if category else {}
    assert delta == {
        "type": "message_delta",
        "delta": {"stop_reason": "refusal", "stop_sequence": None, **more},
        "usage": {"output_tokens": 70},
    }
    assert parser.end(RESULT).ending is Ending.REFUSED


# What is no stream of the API


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"type": 7},
        {"type": "two\nlines"},
        {"type": "message_start", "message": "x"},
        {"type": "content_block_start", "index": 0},
        {"type": "content_block_start", "index": "0", "content_block": {}},
        {"type": "content_block_delta", "index": 0, "delta": "x"},
        {"type": "content_block_stop"},
        {"type": "message_delta", "delta": None},
    ],
)
def test_malformed(event):
    """An event without what it must have is an error."""
    with pytest.raises(BadGateway, match="model's API sent"):
        read(start(), event)


def test_order():
    """Events in a wrong order are an error."""
    with pytest.raises(BadGateway, match="wrong order"):
        read(BLOCK[0])
