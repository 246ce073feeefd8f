"""The stream parser turns raw Messages API events into a turn's events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrapper.errors import BadGateway
from wrapper.services.claude.protocol.stream_parser import StreamParser
from wrapper.services.claude.protocol.tool_blocks import STRUCTURED
from wrapper.services.events import (
    CallDelta,
    CallStarted,
    Ended,
    Ending,
    ReasoningDelta,
    RedactedThought,
    Started,
    TextDelta,
    Thought,
    ToolUse,
    Used,
)
from wrapper.services.spent import Spent, Usage
from wrapper.services.tools.mcp import McpTool

MODEL_USAGE = {
    "inputTokens": 10,
    "cacheReadInputTokens": 20,
    "cacheCreationInputTokens": 30,
    "outputTokens": 40,
    "thinkingTokens": 5,
}


def test_calls_that_need_approval():
    """A call of an MCP server's tool that needs approval ends the answer, and names the tool."""
    tool = McpTool("docs", "add")
    parser = StreamParser((), find_asked=lambda name: tool if name == "mcp__docs__add" else None)
    raw = [
        start(),
        {
            "type": "content_block_start",
            "content_block": {"type": "tool_use", "id": "t", "name": "mcp__docs__add"},
        },
        {
            "type": "content_block_delta",
            "delta": {"type": "input_json_delta", "partial_json": "{}"},
        },
        {"type": "content_block_stop"},
        stop("tool_use"),
    ]
    events = [event for each in raw for event in parser.read(each)]
    assert CallStarted(0, "t", "mcp__docs__add", tool) in events
    assert CallDelta(0, "{}") in events
    assert parser.called


def start(model="sonnet", **usage):
    return {"type": "message_start", "message": {"model": model, "usage": usage}}


def text(piece):
    return {"type": "content_block_delta", "delta": {"type": "text_delta", "text": piece}}


def think(piece):
    return {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": piece}}


def stop(reason, tokens=0, **usage):
    delta = {"stop_reason": reason}
    return {"type": "message_delta", "delta": delta, "usage": {"output_tokens": tokens, **usage}}


def read(*raw, stops=()):
    """Return the parser after the *raw* events, and the turn's events without their usage."""
    parser = StreamParser(stops)
    events = [event for raw_event in raw for event in parser.read(raw_event)]
    return parser, [event for event in events if not isinstance(event, Used)]


def block(kind, *deltas, **fields):
    """Return the events of a whole content block."""
    opening = {"type": "content_block_start", "content_block": {"type": kind, **fields}}
    return [opening, *deltas, {"type": "content_block_stop"}]


def sign(signature):
    delta = {"type": "signature_delta", "signature": signature}
    return {"type": "content_block_delta", "delta": delta}


def text_of(events):
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def test_simple_answer():
    """An answer is a start, its deltas as they come, and an end."""
    parser, events = read(start(), text("Good "), text("day."), stop("end_turn"))
    assert events == [Started("sonnet"), TextDelta("Good "), TextDelta("day.")]
    assert parser.started
    assert parser.end(None).ending is Ending.DONE


def test_not_started():
    """Before the first message nothing has started and nothing has ended."""
    parser, events = read()
    assert (parser.started, events) == (False, [])
    assert (parser.cut, parser.limited, parser.went_on) == (False, False, False)
    assert parser.end(None) is None


@pytest.mark.parametrize(
    "raw",
    [
        {"type": "ping"},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_stop"},
        {"type": "a_new_one"},
        {},
        {"type": "content_block_delta", "delta": {"type": "signature_delta", "signature": "x"}},
        {"type": "content_block_delta", "delta": {"type": "input_json_delta"}},
        think(""),
    ],
)
def test_events_without_text(raw):
    """Events that carry no text of the answer yield nothing."""
    assert read(start(), raw)[1] == [Started("sonnet")]


def test_thinking():
    """Thinking is an event of its own, and is not cut at stop sequences."""
    events = read(start(), think("hm END"), text("a"), stops=("END",))[1]
    assert events == [Started("sonnet"), ReasoningDelta("hm END"), TextDelta("a")]


def test_thinking_blocks():
    """A thinking block ends with its text and signature, a redacted one with its data."""
    parser = StreamParser((), prefix=lambda: "digest")
    thinking = block("thinking", think("h"), think("m"), sign("s="), thinking="", signature="")
    raws = [start(), *thinking, *block("redacted_thinking", data="d=")]
    events = [event for raw in raws for event in parser.read(raw) if not isinstance(event, Used)]
    deltas = [ReasoningDelta("h"), ReasoningDelta("m")]
    ends = [Thought("hm", "s=", "digest"), RedactedThought("d=", "digest")]
    assert events == [Started("sonnet"), *deltas, *ends]


def test_thinking_without_text():
    """The API may show nothing of a thinking block but its signature."""
    assert read(start(), *block("thinking", sign("s")))[1][1:] == [Thought("", "s")]


def test_thinking_without_signature():
    """A block without a signature is no Thought, and the next block begins anew."""
    raws = [start(), *block("thinking", think("a")), *block("thinking", think("b"), sign("s"))]
    assert read(*raws)[1][1:] == [ReasoningDelta("a"), ReasoningDelta("b"), Thought("b", "s")]


@pytest.mark.parametrize("raw", [block("thinking", sign(1)), block("redacted_thinking", data=[])])
def test_odd_thinking(raw):
    """A signature or data that is no text is an error."""
    with pytest.raises(TypeError):
        read(start(), *raw)


@pytest.mark.parametrize(
    ("reason", "ending"),
    [
        ("end_turn", Ending.DONE),
        ("stop_sequence", Ending.DONE),
        ("pause_turn", Ending.DONE),
        ("max_tokens", Ending.LENGTH),
        ("model_context_window_exceeded", Ending.LENGTH),
        ("refusal", Ending.REFUSED),
    ],
)
def test_endings(reason, ending):
    """Each stop reason of the API maps to an ending of the turn."""
    assert read(start(), text("a"), stop(reason))[0].end(None).ending is ending


@pytest.mark.parametrize("after", [[], [stop(None)]])
def test_refusal_reported_by_the_cli(after):
    """A refusal that Claude Code reports in place of the API ends the turn as a refusal."""
    parser, _ = read(start(), text("a"))
    parser.refuse({})
    for raw in after:
        list(parser.read(raw))
    assert parser.end(None).ending is Ending.REFUSED


@pytest.mark.parametrize("reason", ["tool_use", None, "a_new_one"])
def test_not_ended_by_the_model(reason):
    """A turn has not ended while the model has not ended its answer."""
    parser, _ = read(start(), text("a"), stop(reason))
    assert parser.end({"total_cost_usd": 1.0}) is None


def test_broken_off():
    """A stream that stops without a stop reason does not end the turn."""
    assert read(start(), text("a"))[0].end(None) is None


def test_limited():
    """At max_tokens the answer is complete, although Claude Code would continue."""
    parser, events = read(start(), text("a E"), stop("max_tokens"), stops=("END",))
    assert (parser.cut, parser.limited, parser.went_on) == (False, True, False)
    assert text_of(events) == "a E"


def test_continuation_after_the_limit():
    """If Claude Code continues after max_tokens the parser says so, and ignores the text."""
    raw = [start(), text("a"), stop("max_tokens", 3), start("other"), text("b"), stop("end_turn")]
    parser, events = read(*raw)
    assert parser.went_on
    assert text_of(events) == "a"
    assert parser.end(None).ending is Ending.LENGTH


@pytest.mark.parametrize("reason", ["end_turn", "tool_use", "refusal"])
def test_not_limited(reason):
    """Other stop reasons are no limit: the process ends the turn itself."""
    parser, _ = read(start(), text("a"), stop(reason))
    assert (parser.cut, parser.limited, parser.went_on) == (False, False, False)


def test_tool_rounds_are_no_continuation():
    """A message after a tool use is part of the answer."""
    parser, _ = read(start(), text("a"), stop("tool_use"), start(), text("b"), stop("end_turn"))
    assert not parser.went_on


def test_stop_sequence():
    """At a stop sequence the answer is cut, and later text is ignored."""
    parser, events = read(
        start(), text("one E"), text("ND two"), text("three"), stop("max_tokens"), stops=("END",)
    )
    assert text_of(events) == "one "
    assert (parser.cut, parser.limited, parser.went_on) == (True, False, False)
    assert parser.end(None).ending is Ending.DONE


def test_held_text_comes_at_the_end():
    """Text that might begin a stop sequence is yielded when the answer ends without one."""
    events = read(start(), text("one E"), stop("end_turn"), stops=("END",))[1]
    assert events[-1] == TextDelta("E")
    assert text_of(events) == "one E"


@given(st.lists(st.text("EN.", max_size=4), max_size=8))
def test_text_is_whole(pieces):
    """However an answer is split, all text before the stop sequence is yielded once."""
    raw = [start(), *map(text, pieces), stop("end_turn")]
    assert text_of(read(*raw, stops=("EN",))[1]) == "".join(pieces).split("EN")[0]


def test_rounds():
    """A blank line separates the text before a tool use from the text after it."""
    parser, events = read(
        start(), text("Let me look."), stop("tool_use"), start(), text("It "), text("is so.")
    )
    assert text_of(events) == "Let me look.\n\nIt is so."
    assert events.count(Started("sonnet")) == 1
    assert parser.end(None) is None


def test_silent_round():
    """Without text before the tool use there is no blank line."""
    events = read(start(), think("hm"), stop("tool_use"), start(), text("So."))[1]
    assert text_of(events) == "So."


def test_empty_text_before_a_tool():
    """An empty text before the tool use brings no blank line either."""
    events = read(start(), text(""), stop("tool_use"), start(), text("So."))[1]
    assert text_of(events) == "So."


@pytest.mark.parametrize("sequence", ["\n", "\n\n", "\n\n\n"])
def test_the_blank_line_stops_nothing(sequence):
    """The blank line that the gateway adds is no stop sequence, nor part of one."""
    raw = [start(), text("Let me look."), stop("tool_use"), start(), text("It is"), text(" so.")]
    parser, events = read(*raw, stops=(sequence,))
    assert text_of(events) == "Let me look.\n\nIt is so."
    assert not parser.cut


def test_stop_sequence_after_a_tool():
    """A stop sequence after a tool use ends the text."""
    raw = [start(), text("a E"), stop("tool_use"), start(), text("ND b E"), text("ND c")]
    parser, events = read(*raw, stops=("END",))
    assert text_of(events) == "a E\n\nND b "
    assert parser.cut


def test_held_text_comes_once():
    """Text that was held back at a pause is not yielded again when the answer continues."""
    raw = [start(), text("E"), stop("pause_turn"), start(), text("F"), stop("end_turn")]
    assert text_of(read(*raw, stops=("END",))[1]) == "E\n\nF"


def test_beginning_again():
    """An answer that broke off and begins again is an error: the client would get it twice."""
    with pytest.raises(BadGateway, match="asked again"):
        read(start(), text("a"), start())


def test_beginning_again_without_text():
    """An answer that broke off before any text may begin again."""
    _, events = read(start(), start(), text("a"))
    assert events == [Started("sonnet"), TextDelta("a")]


def test_beginning_again_after_an_end_without_a_reason():
    """A message that broke off stays incomplete, although Claude Code closes it."""
    with pytest.raises(BadGateway, match="asked again"):
        read(start(), text("a"), stop(None), {"type": "message_stop"}, start(), text("a"))


OPEN = {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}}


@pytest.mark.parametrize(
    "raw",
    [
        [text("a")],
        [OPEN],
        [stop("end_turn"), start()],
        [start(), {"type": "message_stop"}, text("a")],
        [start(), OPEN, text("a"), stop("end_turn")],
    ],
)
def test_wrong_order(raw):
    """Events in an impossible order are an error, not an empty, partial or doubled answer."""
    with pytest.raises(BadGateway, match="wrong order"):
        read(*raw)


def test_usage_of_the_stream():
    """Without a result the tokens are the stream's, summed over the rounds."""
    parser, _ = read(
        start(input_tokens=5, cache_read_input_tokens=2, output_tokens=1),
        stop("tool_use", 3),
        start(input_tokens=7, cache_creation_input_tokens=4, output_tokens=1),
        stop("end_turn", 8),
    )
    usage = Usage(input=12, cache_read=2, cache_creation=4, output=11)
    assert parser.end(None) == Ended(Ending.DONE, usage, None)


def test_usage_of_the_result():
    """With a result tokens and cost are the result's, summed over its models."""
    parser, _ = read(start(input_tokens=5), stop("end_turn", 3))
    result = {"modelUsage": {"a": MODEL_USAGE, "b": MODEL_USAGE}, "total_cost_usd": 0.25}
    usage = Usage(input=20, cache_read=40, cache_creation=60, output=80, reasoning=10)
    assert parser.end(result) == Ended(Ending.DONE, usage, 0.25)


@pytest.mark.parametrize("result", [{}, {"modelUsage": None}, {"modelUsage": {"a": {}}}])
def test_results_without_usage(result):
    """If the result has no numbers, the stream's count, without a cost."""
    parser, _ = read(start(input_tokens=5), stop("end_turn", 3))
    assert parser.end(result) == Ended(Ending.DONE, Usage(input=5, output=3), None)


@pytest.mark.parametrize("usage", [{}, {"input_tokens": None, "output_tokens": None}])
@pytest.mark.parametrize("details", [{}, {"output_tokens_details": None}])
def test_streams_without_usage(usage, details):
    """Missing and null numbers count as 0."""
    parser, _ = read(start(**usage), {"type": "message_delta", "delta": {}, "usage": None})
    assert parser.end(None) is None
    parser, _ = read(start(**usage), stop("end_turn", None, **details))
    assert parser.end(None).usage == Usage()


def used_of(*raw, result=None):
    """Return the usage after each of these events that reports it, and after the result."""
    parser = StreamParser(())
    events = [event for raw_event in raw for event in parser.read(raw_event)]
    return [*(e.spent for e in events if isinstance(e, Used)), parser.usage.used(result).spent]


def test_usage_comes_before_the_text():
    """The API's counts come before any text, and again after each message."""
    parser = StreamParser(())
    kinds = [
        type(event)
        for raw in (start(input_tokens=3, output_tokens=1), text("a"), stop("end_turn", 7))
        for event in parser.read(raw)
    ]
    assert kinds == [Started, Used, TextDelta, Used]
    counted = used_of(start(input_tokens=3), text("a"), stop("tool_use", 7), start(input_tokens=4))
    assert [spent["sonnet"].usage for spent in counted] == [
        Usage(input=3),
        Usage(input=3, output=7),
        Usage(input=7, output=7),
        Usage(input=7, output=7),
    ]
    assert all(spent["sonnet"].cost_usd is None for spent in counted)


def test_thinking_tokens_of_the_stream():
    """Thinking tokens are counted for every message, even without a result."""
    counted = used_of(
        start(input_tokens=3, output_tokens_details=None),
        stop("tool_use", 7, output_tokens_details={"thinking_tokens": 5}),
        start(input_tokens=4),
        stop("max_tokens", 2, output_tokens_details={"thinking_tokens": 1}),
    )
    assert [spent["sonnet"].usage.reasoning for spent in counted] == [0, 5, 5, 6, 6]
    assert counted[-1]["sonnet"].usage == Usage(input=7, output=9, reasoning=6)


def test_the_result_overrides_the_stream():
    """The result's numbers and costs replace those of the stream."""
    result = {"modelUsage": {"sonnet": {**MODEL_USAGE, "costUSD": 0.25}}}
    assert used_of(start(input_tokens=3), result=result)[-1] == {
        "sonnet": Spent(Usage(10, 20, 30, 40, 5), 0.25)
    }


def test_one_model_by_two_names():
    """If one model ran, it keeps the name of the answer, whatever the cloud calls it."""
    result = {"modelUsage": {"us.anthropic.sonnet-v1:0": MODEL_USAGE}}
    assert list(used_of(start("sonnet"), result=result)[-1]) == ["sonnet"]


def test_several_models():
    """A tool may use another model, which is counted separately."""
    result = {"modelUsage": {"sonnet": MODEL_USAGE, "haiku": {"outputTokens": 2, "costUSD": 0.1}}}
    spent = used_of(start("sonnet"), result=result)[-1]
    assert spent["haiku"] == Spent(Usage(output=2), 0.1)
    assert spent["sonnet"].usage.input == 10


@pytest.mark.parametrize("result", [None, {}, {"modelUsage": {}}, {"modelUsage": {"m": {}}}])
def test_result_without_numbers(result):
    """Without the result's numbers the stream's remain, and there is no cost."""
    assert used_of(start(input_tokens=3), result=result)[-1] == {"sonnet": Spent(Usage(input=3))}
    assert used_of(result=result)[-1] == {}


def test_abandoned():
    """An abandoned turn ends as such, unless the model has already ended it."""
    parser, _ = read(start(), text("a"))
    parser.abandon()
    assert parser.end(None).ending is Ending.ABANDONED
    parser, _ = read(start(), text("a"), stop("end_turn"))
    parser.abandon()
    assert parser.end(None).ending is Ending.DONE


def test_exhausted():
    """A turn that stops after its last tool round ends at a limit."""
    parser, _ = read(start(), text("a"), stop("tool_use"))
    parser.exhaust("max_turns")
    assert parser.end(None).ending is Ending.LENGTH


def use(index, name, *pieces, id_="toolu_1"):
    """Yield the events of a tool_use block."""
    block = {"type": "tool_use", "id": id_, "name": name, "input": {}}
    yield {"type": "content_block_start", "index": index, "content_block": block}
    for piece in pieces:
        delta = {"type": "input_json_delta", "partial_json": piece}
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def called(*raw, answer=None):
    parser = StreamParser((), {"f": "f", "g": "g"}, answer)
    events = [event for raw_event in raw for event in parser.read(raw_event)]
    return parser, [event for event in events if not isinstance(event, Used | Started)]


def test_calls():
    """Calls of the client's functions are numbered from 0, whatever blocks are between them."""
    parser, events = called(
        start(),
        text("Well."),
        *use(1, "f", "", '{"a"', ": 1}", id_="toolu_a"),
        *use(2, "g", id_="toolu_b"),
        stop("tool_use"),
    )
    assert events == [
        TextDelta("Well."),
        CallStarted(0, "toolu_a", "f"),
        CallDelta(0, '{"a"'),
        CallDelta(0, ": 1}"),
        CallStarted(1, "toolu_b", "g"),
        CallDelta(1, "{}"),
    ]
    assert parser.end(None).ending is Ending.CALLS
    parser.exhaust("max_turns")
    assert parser.end(None).ending is Ending.CALLS


def test_claude_codes_own_tools():
    """A tool that is none of the client's functions is Claude Code's, and does not end the turn."""
    parser, events = called(start(), *use(0, "Bash", '{"command": "ls"}'), stop("tool_use"))
    assert events == [ToolUse("Bash", '{"command": "ls"}')]
    assert parser.end(None) is None


def test_structured_answer():
    """Only the input of the answer's tool is text."""
    parser, events = called(
        start(), text("Here:"), *use(1, "x", '{"a"', ": 1}"), stop("tool_use"), answer="x"
    )
    assert events == [TextDelta('{"a"'), TextDelta(": 1}")]
    assert parser.end(None).ending is Ending.DONE


def test_empty_structured_answer():
    """An answer without input is an empty object, not an empty text."""
    parser, events = called(start(), *use(0, "x"), stop("tool_use"), answer="x")
    assert events == [TextDelta("{}")]
    assert parser.end(None).ending is Ending.DONE


def test_call_instead_of_an_answer():
    """If the model calls a function, the turn ends with that call."""
    parser, events = called(start(), *use(0, "f", "{}"), stop("tool_use"), answer="x")
    assert events == [CallStarted(0, "toolu_1", "f"), CallDelta(0, "{}")]
    assert parser.end(None).ending is Ending.CALLS


def test_functions_by_another_name():
    """A function with another name upstream has its own name for the client."""
    parser = StreamParser((), {"mcp__client__f": "f"})
    raw = [start(), *use(0, "mcp__client__f", "{}"), stop("tool_use")]
    events = [event for raw_event in raw for event in parser.read(raw_event)]
    assert CallStarted(0, "toolu_1", "f") in events
    assert parser.called


def test_answer_of_the_result():
    """If the result holds the answer, nothing before it is text."""
    parser, events = called(start(), text("Well."), *use(0, "S", "{}"), stop("x"), answer="")
    assert events == [ToolUse("S", "{}")]
    assert list(parser.rest({"structured_output": {"a": "ü"}})) == [TextDelta('{"a": "ü"}')]
    assert parser.end(None).ending is Ending.DONE


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ({"id": 1234567890123456800, "one": 1}, '{"id":1234567890123456789, "one": 1.0}'),
        ({"id": 5}, '{"id": 5}'),
    ],
)
def test_answer_as_it_was_written(output, text):
    """The answer is the model's own text, if the result has the same value."""
    written = '{"id":1234567890123456789, "one": 1.0}'
    raw = (start(), *use(0, STRUCTURED, written), stop("x"))
    assert list(called(*raw, answer="")[0].rest({"structured_output": output})) == [TextDelta(text)]


def test_answer_in_words():
    """Text without a call of the tool is an answer all the same."""
    parser, events = called(start(), text('{"a"'), text(": 1}"), stop("end_turn"), answer="x")
    assert events == [TextDelta('{"a": 1}')]
    assert parser.end(None).ending is Ending.DONE


def test_answer_in_words_comes_once():
    """A second end of the message, without a reason, does not repeat the answer."""
    _, events = called(start(), text("{}"), stop("end_turn"), stop(None), answer="x")
    assert events == [TextDelta("{}")]


def test_answer_in_words_of_an_agent():
    """If the result has no answer, it is the text before Claude Code asked again."""
    parser, events = called(
        start(), text("{}"), stop("end_turn"), start(), text("I have."), stop("end_turn"), answer=""
    )
    assert events == []
    assert list(parser.rest(None)) == [TextDelta("{}")]


def test_no_answer_in_words():
    """Text beside a tool use is no answer, and neither is one cut short."""
    for reason in ("tool_use", "max_tokens"):
        parser, _ = called(start(), text("{}"), stop(reason), answer="")
        assert list(parser.rest(None)) == []
