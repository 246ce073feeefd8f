"""Fuzz Claude Code's output: a turn always ends, or fails with one of our errors.

A fake process writes all of its output into real pipes, and the real SDK reads them.
"""

import asyncio
import contextlib
import fcntl
import json
import math
import os
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support import random_claude
from wrapper.errors import ApiError, BadGateway, ContextLengthExceeded
from wrapper.services.claude.additions import Additions
from wrapper.services.claude.conversation.compaction import Compaction
from wrapper.services.claude.conversation.conversation import Conversation
from wrapper.services.claude.processes.leasing import Lease
from wrapper.services.claude.processes.qualification import Qualification
from wrapper.services.claude.protocol import frames
from wrapper.services.claude.protocol.decoder import read_frame
from wrapper.services.claude.protocol.history import history, history_of
from wrapper.services.events import (
    CallDelta,
    CallStarted,
    Compacted,
    Ended,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolUse,
    ToolUsed,
    Used,
)
from wrapper.services.turn import Function, Message, OutputSchema, Turn

PIPE_BYTES = 1024 * 1024
F_SETPIPE_SZ = 1031
HI = (Message("user", ("Hi",)),)
LONGER = (*HI, Message("assistant", ("Yes?",)), Message("user", ("Go on.",)))
FUNCTION = Function("f", {"type": "object"}, "")
SCHEMA = OutputSchema("s", {"type": "object"})
TURNS = {
    "plain": Turn("m", HI, profile="plain"),
    "agent": Turn("m", HI),
    "with functions": Turn("m", HI, functions=(FUNCTION,)),
    "plain with functions": Turn("m", HI, profile="plain", functions=(FUNCTION,)),
    "with a schema": Turn("m", HI, output_schema=SCHEMA),
    "plain with a schema": Turn("m", HI, profile="plain", output_schema=SCHEMA),
    "with a history": Turn("m", LONGER),
}
SETTINGS = settings(max_examples=100)


class Pipes:
    """A process that has written *output* and ended."""

    def __init__(self, output):
        self.profile = SimpleNamespace(
            mode=None,
            budgeted=False,
            reads_only=False,
            first_party=True,
            first_event_timeout=0,
            additions=Additions(),
        )
        self.pid, self.initialized, self.directory = 4711, False, "/"
        self.qualification = Qualification()
        (self._from, stdin), (stdout, out), (stderr, err) = os.pipe(), os.pipe(), os.pipe()
        self.pipes = (stdin, stdout, stderr)
        fcntl.fcntl(out, F_SETPIPE_SZ, PIPE_BYTES)
        os.write(out, output)
        os.close(out)
        os.close(err)

    def kill(self):
        """Do nothing: it has already ended."""

    def exit_code(self):
        return 0

    def close(self):
        for pipe in (self._from, *self.pipes):
            os.close(pipe)


def line(frame):
    return (frame if isinstance(frame, bytes) else json.dumps(frame).encode()) + b"\n"


def confirmed(requests):
    """Return the responses that confirm control requests."""
    return [
        {
            "type": "control_response",
            "response": {
                "subtype": "success",
                "request_id": request["request_id"],
                "response": {"status": "ok"},
            },
        }
        for request in requests
    ]


def converse(turn, output, ignored=None):
    """Return the events of a turn whose configured process writes *output*, frames or lines."""
    replayed = [{"type": "result"}] * sum(answered for _, answered in history(turn))
    before = [*confirmed(frames.configuration(turn, frames.settings(turn))), *replayed]
    process: Any = Pipes(b"".join(map(line, [*before, *output])))
    conversation = Conversation(Lease(process), turn, Counter() if ignored is None else ignored)
    return asyncio.run(gather(conversation, process))


async def gather(conversation, process):
    with contextlib.closing(process):
        async with asyncio.timeout(20):
            return [event async for event in conversation.events(asyncio.Event())]


def check(events):
    """Check that all events can be sent to a client and counted as usage."""
    for event in events:
        for text in texts_of(event):
            assert isinstance(text, str)
            text.encode()
        if isinstance(event, Used):
            assert all(countable(spent.usage, spent.cost_usd) for spent in event.spent.values())
        if isinstance(event, Ended):
            assert countable(event.usage, event.cost_usd)


def texts_of(event):
    match event:
        case TextDelta() | ReasoningDelta():
            return [event.text]
        case Started():
            return [event.model]
        case ToolUsed():
            assert event.seconds >= 0
            return [event.name, event.id, event.output]
        case ToolUse():
            return [event.name, event.arguments, event.id]
        case CallStarted():
            return [event.id, event.name]
        case CallDelta():
            return [event.arguments]
    return []


def countable(usage, dollars):
    tokens = vars(usage).values()
    whole = all(type(count) is int and count >= 0 for count in tokens)
    return whole and (dollars is None or (math.isfinite(dollars) and dollars >= 0))


# The output of a turn that succeeds, from which the fuzzed frames are made


def event(**fields):
    return {"type": "stream_event", "uuid": "u", "session_id": "s", "event": fields}


def delta(**fields):
    return event(type="content_block_delta", index=0, delta=fields)


USAGE = {"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 1}
START = event(type="message_start", message={"model": "m", "usage": USAGE})
STOP = event(type="message_delta", delta={"stop_reason": "end_turn"}, usage=USAGE)
RESULT = {**random_claude.RESULT, "usage": USAGE}
TOOL = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
FRAMES = [
    START,
    STOP,
    RESULT,
    {"type": "system", "subtype": "init", "tools": ["mcp__client__f"]},
    {"type": "system", "subtype": "model_refusal_stop"},
    event(type="content_block_start", index=0, content_block={"type": "text", "text": ""}),
    event(type="content_block_start", index=0, content_block=TOOL),
    event(type="content_block_stop", index=0),
    delta(type="text_delta", text="Hello."),
    delta(type="thinking_delta", thinking="Hm"),
    delta(type="input_json_delta", partial_json='{"a": 1}'),
    event(type="message_stop"),
    {"type": "assistant", "message": {"model": "<synthetic>", "content": [TOOL]}},
    {"type": "user", "message": {"content": [{"type": "text", "text": "Hi"}]}},
    {"type": "control_request", "request_id": "1", "request": {"subtype": "mcp_message",
     "server_name": "client", "message": {"id": 1, "method": "tools/list"}}},
    {"type": "control_request", "request_id": "1", "request": {"subtype": "hook_callback",
     "callback_id": "hook_0", "input": {}, "tool_use_id": "t"}},
    {"type": "control_response", "response": {"request_id": "1", "subtype": "success"}},
    {"type": "control_cancel_request", "request_id": "1"},
    {"type": "rate_limit_event", "x": 1},
]  # fmt: skip
SUCCESS = [START, delta(type="text_delta", text="Hello."), STOP, RESULT]

_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["tool_use", "text_delta", "end_turn", "success", "m", "\ud83d"])
)
_json = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@st.composite
def damaged(draw):
    """Draw a valid frame with one value replaced or removed."""
    frame = json.loads(json.dumps(draw(st.sampled_from(FRAMES))))
    parent, key = frame, draw(st.sampled_from(sorted(frame)))
    while isinstance(parent[key], dict) and parent[key] and draw(st.integers(0, 3)):
        parent = parent[key]
        key = draw(st.sampled_from(sorted(parent)))
    if draw(st.booleans()):
        parent[key] = draw(_json)
    else:
        del parent[key]
    return frame


_output = st.lists(st.sampled_from(FRAMES) | damaged() | _json | st.binary(max_size=30), max_size=8)


def outcome(turn, output):
    """Return the events, or the ApiError that the turn failed with."""
    try:
        events = converse(turn, output)
    except ApiError as error:
        json.dumps(error.body(), ensure_ascii=False).encode()
        return error
    check(events)
    return events


@pytest.mark.parametrize("name", TURNS)
def test_success(name):
    """The valid output, which the tests below damage, is an answer."""
    result = [{**RESULT, "structured_output": {}}] if name == "with a schema" else [RESULT]
    events = outcome(TURNS[name], [*SUCCESS[:-1], *result])
    assert isinstance(events, list)
    assert isinstance(events[-1], Ended)


@given(name=st.sampled_from(sorted(TURNS)), output=_output)
@SETTINGS
def test_any_output(name, output):
    """With any output, in any order, the turn ends or fails with one of our errors."""
    outcome(TURNS[name], output)


@given(name=st.sampled_from(sorted(TURNS)), wrong=damaged(), at=st.integers(0, 4))
@SETTINGS
@example(name="plain", wrong=delta(type="text_delta", text=5), at=1)
@example(name="plain", wrong=delta(type="text_delta", text="\ud83d"), at=1)
@example(name="plain", wrong={**RESULT, "total_cost_usd": "1"}, at=3)
@example(name="plain", wrong={**RESULT, "total_cost_usd": float("nan")}, at=3)
@example(name="plain", wrong={**RESULT, "total_cost_usd": -1}, at=3)
@example(name="plain", wrong={**RESULT, "modelUsage": {"m": {"inputTokens": 0.5}}}, at=3)
@example(name="plain", wrong={**RESULT, "modelUsage": ["m"]}, at=3)
@example(name="plain", wrong={**RESULT, "api_error_status": []}, at=0)
@example(name="with functions", wrong={"type": "system", "subtype": "init", "tools": 5}, at=0)
def test_one_damaged_frame(name, wrong, at):
    """With one wrong value in a frame the turn ends or fails with one of our errors."""
    outcome(TURNS[name], [*SUCCESS[:at], wrong, *SUCCESS[at:]])
    outcome(TURNS[name], [*SUCCESS[:at], wrong, *SUCCESS[at + 1 :]])


@pytest.mark.parametrize(
    "wrong",
    [
        event(type="message_start"),
        event(type="message_start", message=[]),
        event(type="content_block_start"),
        event(type="content_block_delta", delta={"type": "text_delta"}),
        delta(type="text_delta", text=["a"]),
        delta(type="thinking_delta", thinking=7),
        event(type="message_delta"),
        event(type="message_start", message={"model": "m", "usage": {"input_tokens": "3"}}),
        event(type="message_start", message={"model": "m", "usage": {"input_tokens": -3}}),
        {"type": "stream_event", "uuid": "u", "session_id": "s", "event": []},
        {"type": "stream_event"},
        {"type": "system", "subtype": 5},
        {"type": "assistant", "message": {"content": 5}},
        {"type": "control_request"},
    ],
    ids=str,
)
def test_not_understood(wrong, caplog):
    """A malformed frame is an error, and one line in the log."""
    error = outcome(TURNS["plain"], [START, wrong, *SUCCESS[1:]])
    assert isinstance(error, BadGateway)
    assert "cannot be understood" in error.message
    assert error.retry is False
    assert "could not be understood" in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0\0\0",
        b"{",
        b'{"type":',
        b"null",
        b'"text"',
        b"[1]",
        b"{}",
        b'{"type": null}',
        b'{"type": ["result"]}',
        b'{"type": "result", "total_cost_usd": NaN}',
        b'{"type": "result", "total_cost_usd": 1e999}',
        b'{"type": "stream_event", "event": "\xff"}',
        b'{"type": "stream_event", "event": "\xed\xa0\x80"}',
        b'{"type": "stream_event", "event": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"type": "stream_event", "event": ' + b"9" * 5000 + b"}",
        '{"type": "result"}'.encode("utf-16"),
    ],
    ids=lambda raw: repr(raw[:40]),
)
def test_no_frame(raw):
    """A line that is not a frame is skipped and counted, and the turn continues."""
    ignored: Counter[str] = Counter()
    events = converse(TURNS["plain"], [START, raw, *SUCCESS[1:]], ignored)
    assert isinstance(events[-1], Ended)
    assert ignored["unreadable"] == 1


def test_lone_surrogates():
    """A lone surrogate arrives as the replacement character."""
    output = [START, b'{"type": "stream_event", "uuid": "u", "session_id": "s", "event": '
            b'{"type": "content_block_delta", "delta": {"type": "text_delta", "text": '
            b'"a\\ud83d \\ud83d\\ude00"}}}', STOP, RESULT]  # fmt: skip
    events = converse(TURNS["plain"], output)
    (text,) = [event.text for event in events if isinstance(event, TextDelta)]
    assert text == "a\ufffd \U0001f600"


@given(st.binary(max_size=80))
@settings(max_examples=300)
def test_any_line(raw):
    """Any line is a frame that can be written as JSON, or a ValueError."""
    try:
        frame = read_frame(raw)
    except ValueError:
        return
    json.dumps(frame, allow_nan=False, ensure_ascii=False).encode()


def test_kinds_are_bounded():
    """The number of frame types that are counted separately is bounded."""
    ignored: Counter[str] = Counter()
    unknown = [{"type": f"new{number}"} for number in range(1000)]
    assert isinstance(converse(TURNS["plain"], [*unknown, *SUCCESS], ignored)[-1], Ended)
    assert len(ignored) < 50
    assert sum(ignored.values()) == 1000


def test_a_long_reason():
    """A long reason is truncated."""
    failed = {**RESULT, "is_error": True, "result": "x" * 500_000, "api_error_status": 400}
    error = outcome(TURNS["plain"], [failed])
    assert isinstance(error, ApiError)
    assert len(error.message) < 5000


BOUNDARY = {"type": "system", "subtype": "compact_boundary", "compact_metadata": {
    "preserved_messages": {"uuids": ["00000000-0000-4000-8000-000000000001"]}}}  # fmt: skip
SUMMARY = {"type": "user", "message": {"content": "It went well."}}


def compact(output):
    turn = TURNS["with a history"]
    replayed = sum(answered for _, answered in history_of(LONGER[:-1]))
    answers = [*confirmed(frames.compaction_configuration(turn)), *[{"type": "result"}] * replayed]
    process: Any = Pipes(b"".join(map(line, [*answers, *output])))
    return asyncio.run(gather(Compaction(process, turn, Counter()), process))


def test_compacted():
    """The valid output, which the test below damages, is a summary."""
    assert isinstance(compact([BOUNDARY, SUMMARY, RESULT])[-1], Compacted)


@pytest.mark.parametrize("output", [[], [BOUNDARY], [BOUNDARY, SUMMARY]])
def test_process_that_ends_before_its_summary(output):
    """A process that ends too early gives an error, and nothing in place of the summary."""
    with pytest.raises(BadGateway, match="summarised"):
        compact(output)


def test_announced_and_missing_summary():
    """Without its summary, a conversation cannot be made shorter."""
    with pytest.raises(ContextLengthExceeded, match="could not summarise"):
        compact([BOUNDARY, RESULT])


@given(
    st.lists(st.sampled_from([BOUNDARY, SUMMARY, RESULT]) | damaged() | _json, max_size=5),
    _json,
    _json,
)
@SETTINGS
def test_any_summary(output, metadata, content):
    """Any output gives a summary or one of our errors."""
    wrong_boundary = {**BOUNDARY, "compact_metadata": metadata}
    wrong_ids = {**BOUNDARY, "compact_metadata": {"preserved_messages": {"uuids": metadata}}}
    wrong_summary = {**SUMMARY, "message": {"content": content}}
    for lines in (
        output,
        [wrong_boundary, SUMMARY, RESULT],
        [wrong_ids, SUMMARY, RESULT],
        [BOUNDARY, wrong_summary, RESULT],
    ):
        with contextlib.suppress(ApiError):
            check(compact(lines))
