"""The reading: raw Messages API events understood as a turn's events."""

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
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
    Spent,
    Started,
    TextDelta,
    ToolUse,
    Usage,
    Used,
)

MODEL_USAGE = {
    "inputTokens": 10,
    "cacheReadInputTokens": 20,
    "cacheCreationInputTokens": 30,
    "outputTokens": 40,
    "thinkingTokens": 5,
}


def start(model="sonnet", **usage):
    return {"type": "message_start", "message": {"model": model, "usage": usage}}


def text(said):
    return {"type": "content_block_delta", "delta": {"type": "text_delta", "text": said}}


def think(said):
    return {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": said}}


def stop(reason, tokens=0, **usage):
    delta = {"stop_reason": reason}
    return {"type": "message_delta", "delta": delta, "usage": {"output_tokens": tokens, **usage}}


def read(*raw, stops=()):
    """Return the reading of these events, and what they mean but for what they have used."""
    reading = StreamParser(stops)
    events = [event for one in raw for event in reading.read(one)]
    return reading, [event for event in events if not isinstance(event, Used)]


def said(events):
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def test_simple_answer():
    """An answer is a start, its deltas as they came, and its end."""
    reading, events = read(start(), text("Good "), text("day."), stop("end_turn"))
    assert events == [Started("sonnet"), TextDelta("Good "), TextDelta("day.")]
    assert reading.started
    assert reading.end(None).ending is Ending.DONE


def test_not_started():
    """Before the first message nothing has started, and nothing has ended."""
    reading, events = read()
    assert (reading.started, events) == (False, [])
    assert (reading.cut, reading.limited, reading.went_on) == (False, False, False)
    assert reading.end(None) is None


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
def test_passed_over(raw):
    """What is no part of the answer's text makes no event."""
    assert read(start(), raw)[1] == [Started("sonnet")]


def test_thinking():
    """Thinking is told apart from text, and no stop text is looked for in it."""
    events = read(start(), think("hm END"), text("a"), stops=("END",))[1]
    assert events == [Started("sonnet"), ReasoningDelta("hm END"), TextDelta("a")]


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
    """Each reason of the model to stop is one of the ways in which a turn ends."""
    assert read(start(), text("a"), stop(reason))[0].end(None).ending is ending


@pytest.mark.parametrize("after", [[], [stop(None)]])
def test_refusal_that_only_the_cli_tells(after):
    """A refusal of which the CLI tells in the API's place ends the turn as one."""
    reading, _ = read(start(), text("a"))
    reading.refuse()
    for raw in after:
        list(reading.read(raw))
    assert reading.end(None).ending is Ending.REFUSED


@pytest.mark.parametrize("reason", ["tool_use", None, "a_new_one"])
def test_not_ended_by_the_model(reason):
    """An answer that the model did not end is no ended turn."""
    reading, _ = read(start(), text("a"), stop(reason))
    assert reading.end({"total_cost_usd": 1.0}) is None


def test_broken_off():
    """A stream that just stops is no ended turn."""
    assert read(start(), text("a"))[0].end(None) is None


def test_limited():
    """At max_tokens the answer is whole, although Claude Code would go on."""
    reading, events = read(start(), text("a E"), stop("max_tokens"), stops=("END",))
    assert (reading.cut, reading.limited, reading.went_on) == (False, True, False)
    assert said(events) == "a E"


def test_what_comes_after_the_limit():
    """When Claude Code has gone on after max_tokens that is noted, and nothing of it is heard."""
    raw = [start(), text("a"), stop("max_tokens", 3), start("other"), text("b"), stop("end_turn")]
    reading, events = read(*raw)
    assert reading.went_on
    assert said(events) == "a"
    assert reading.end(None).ending is Ending.LENGTH


@pytest.mark.parametrize("reason", ["end_turn", "tool_use", "refusal"])
def test_not_limited(reason):
    """Where the process comes to its own end it is left to it."""
    reading, _ = read(start(), text("a"), stop(reason))
    assert (reading.cut, reading.limited, reading.went_on) == (False, False, False)


def test_rounds_are_no_going_on():
    """A round after a tool was used is part of the answer."""
    reading, _ = read(start(), text("a"), stop("tool_use"), start(), text("b"), stop("end_turn"))
    assert not reading.went_on


def test_stop_text():
    """At a stop text the answer is cut, and what comes later is not heard."""
    reading, events = read(
        start(), text("one E"), text("ND two"), text("three"), stop("max_tokens"), stops=("END",)
    )
    assert said(events) == "one "
    assert (reading.cut, reading.limited, reading.went_on) == (True, False, False)
    assert reading.end(None).ending is Ending.DONE


def test_held_text_comes_at_the_end():
    """What might have begun a stop text is said when the answer ends without it."""
    events = read(start(), text("one E"), stop("end_turn"), stops=("END",))[1]
    assert events[-1] == TextDelta("E")
    assert said(events) == "one E"


@hypothesis_settings(deadline=None)
@given(st.lists(st.text("EN.", max_size=4), max_size=8))
def test_text_is_whole(pieces):
    """However an answer is split, all of it before the stop text is said, once."""
    raw = [start(), *map(text, pieces), stop("end_turn")]
    assert said(read(*raw, stops=("EN",))[1]) == "".join(pieces).split("EN")[0]


def test_rounds():
    """What is said before and after a tool is used is parted by a blank line."""
    reading, events = read(
        start(), text("Let me look."), stop("tool_use"), start(), text("It "), text("is so.")
    )
    assert said(events) == "Let me look.\n\nIt is so."
    assert events.count(Started("sonnet")) == 1
    assert reading.end(None) is None


def test_silent_round():
    """Where nothing was said before a tool was used, nothing is parted."""
    events = read(start(), think("hm"), stop("tool_use"), start(), text("So."))[1]
    assert said(events) == "So."


def test_stop_text_over_rounds():
    """A stop text is found even where it begins before a tool is used."""
    raw = [start(), text("a\n"), stop("tool_use"), start(), text("b")]
    reading, events = read(*raw, stops=("\n\n\n",))
    assert said(events) == "a"
    assert reading.cut


def test_held_text_is_said_once():
    """What was held back at a pause is not said again when the answer goes on."""
    raw = [start(), text("E"), stop("pause_turn"), start(), text("F"), stop("end_turn")]
    assert said(read(*raw, stops=("END",))[1]) == "E\n\nF"


def test_beginning_again():
    """An answer that broke off and begins again is an error: it would be told twice."""
    with pytest.raises(BadGateway, match="asked again"):
        read(start(), text("a"), start())


def test_beginning_again_unheard():
    """An answer that broke off before anything was said may begin again."""
    _, events = read(start(), start(), text("a"))
    assert events == [Started("sonnet"), TextDelta("a")]


def test_beginning_again_after_an_end_without_a_reason():
    """That Claude Code closes what broke off makes no whole answer of it."""
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
    """What no model sends is an error, and no answer that is empty, half or told twice."""
    with pytest.raises(BadGateway, match="wrong order"):
        read(*raw)


def test_usage_of_the_stream():
    """Without a result, the tokens are those that the stream told, summed over the rounds."""
    reading, _ = read(
        start(input_tokens=5, cache_read_input_tokens=2, output_tokens=1),
        stop("tool_use", 3),
        start(input_tokens=7, cache_creation_input_tokens=4, output_tokens=1),
        stop("end_turn", 8),
    )
    usage = Usage(input=12, cache_read=2, cache_creation=4, output=11)
    assert reading.end(None) == Ended(Ending.DONE, usage, None)


def test_usage_of_the_result():
    """With a result, tokens and cost are its own, summed over the models that it names."""
    reading, _ = read(start(input_tokens=5), stop("end_turn", 3))
    result = {"modelUsage": {"a": MODEL_USAGE, "b": MODEL_USAGE}, "total_cost_usd": 0.25}
    usage = Usage(input=20, cache_read=40, cache_creation=60, output=80, reasoning=10)
    assert reading.end(result) == Ended(Ending.DONE, usage, 0.25)


@pytest.mark.parametrize("result", [{}, {"modelUsage": None}, {"modelUsage": {"a": {}}}])
def test_results_without_usage(result):
    """A result without numbers leaves those of the stream, and says no cost."""
    reading, _ = read(start(input_tokens=5), stop("end_turn", 3))
    assert reading.end(result) == Ended(Ending.DONE, Usage(input=5, output=3), None)


@pytest.mark.parametrize("usage", [{}, {"input_tokens": None, "output_tokens": None}])
@pytest.mark.parametrize("details", [{}, {"output_tokens_details": None}])
def test_streams_without_usage(usage, details):
    """Numbers that are missing or null count as none."""
    reading, _ = read(start(**usage), {"type": "message_delta", "delta": {}, "usage": None})
    assert reading.end(None) is None
    reading, _ = read(start(**usage), stop("end_turn", None, **details))
    assert reading.end(None).usage == Usage()


def used_of(*raw, result=None):
    """Return all that is told of what these events used, and then of the CLI's result."""
    reading = StreamParser(())
    events = [event for one in raw for event in reading.read(one)]
    return [*(e.spent for e in events if isinstance(e, Used)), reading.usage.used(result).spent]


def test_used_is_told_before_the_text():
    """What the API has counted is told before any text is, and again after each message."""
    reading = StreamParser(())
    kinds = [
        type(event)
        for raw in (start(input_tokens=3, output_tokens=1), text("a"), stop("end_turn", 7))
        for event in reading.read(raw)
    ]
    assert kinds == [Started, Used, TextDelta, Used]
    told = used_of(start(input_tokens=3), text("a"), stop("tool_use", 7), start(input_tokens=4))
    assert [spent["sonnet"].usage for spent in told] == [
        Usage(input=3),
        Usage(input=3, output=7),
        Usage(input=7, output=7),
        Usage(input=7, output=7),
    ]
    assert all(spent["sonnet"].cost_usd is None for spent in told)


def test_what_is_thought_counts_by_the_stream():
    """Tokens of thinking are told of every message, also where the CLI never comes to say so."""
    told = used_of(
        start(input_tokens=3, output_tokens_details=None),
        stop("tool_use", 7, output_tokens_details={"thinking_tokens": 5}),
        start(input_tokens=4),
        stop("max_tokens", 2, output_tokens_details={"thinking_tokens": 1}),
    )
    assert [spent["sonnet"].usage.reasoning for spent in told] == [0, 5, 5, 6, 6]
    assert told[-1]["sonnet"].usage == Usage(input=7, output=9, reasoning=6)


def test_used_is_what_the_cli_says_in_the_end():
    """The CLI's own numbers go before those of the stream, with what they cost."""
    told = {"modelUsage": {"sonnet": {**MODEL_USAGE, "costUSD": 0.25}}}
    assert used_of(start(input_tokens=3), result=told)[-1] == {
        "sonnet": Spent(Usage(10, 20, 30, 40, 5), 0.25)
    }


def test_one_model_by_two_names():
    """Where one model ran, it has the name that the answer has, whatever the cloud calls it."""
    told = {"modelUsage": {"us.anthropic.sonnet-v1:0": MODEL_USAGE}}
    assert list(used_of(start("sonnet"), result=told)[-1]) == ["sonnet"]


def test_several_models():
    """A tool may use a model of its own, which is told apart."""
    told = {"modelUsage": {"sonnet": MODEL_USAGE, "haiku": {"outputTokens": 2, "costUSD": 0.1}}}
    spent = used_of(start("sonnet"), result=told)[-1]
    assert spent["haiku"] == Spent(Usage(output=2), 0.1)
    assert spent["sonnet"].usage.input == 10


@pytest.mark.parametrize("told", [None, {}, {"modelUsage": {}}, {"modelUsage": {"m": {}}}])
def test_a_cli_that_says_nothing(told):
    """Without the CLI's numbers those of the stream remain, and no cost is made up."""
    assert used_of(start(input_tokens=3), result=told)[-1] == {"sonnet": Spent(Usage(input=3))}
    assert used_of(result=told)[-1] == {}


def test_abandoned():
    """A turn that nobody waits for has ended as that, unless the model had ended it already."""
    reading, _ = read(start(), text("a"))
    reading.abandon()
    assert reading.end(None).ending is Ending.ABANDONED
    reading, _ = read(start(), text("a"), stop("end_turn"))
    reading.abandon()
    assert reading.end(None).ending is Ending.DONE


def test_exhausted():
    """A turn that was stopped after its last round of tool use ends at a limit."""
    reading, _ = read(start(), text("a"), stop("tool_use"))
    reading.exhaust("max_turns")
    assert reading.end(None).ending is Ending.LENGTH


def use(index, name, *pieces, id_="toolu_1"):
    """Return the events of a call."""
    block = {"type": "tool_use", "id": id_, "name": name, "input": {}}
    yield {"type": "content_block_start", "index": index, "content_block": block}
    for piece in pieces:
        delta = {"type": "input_json_delta", "partial_json": piece}
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def called(*raw, answer=None):
    reading = StreamParser((), {"f": "f", "g": "g"}, answer)
    events = [event for one in raw for event in reading.read(one)]
    return reading, [event for event in events if not isinstance(event, Used | Started)]


def test_calls():
    """Calls of the client's functions are counted from 0, whatever blocks stand between."""
    reading, events = called(
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
    assert reading.end(None).ending is Ending.CALLS
    reading.exhaust("max_turns")
    assert reading.end(None).ending is Ending.CALLS


def test_tools_of_the_engines_own():
    """What is none of the client's functions is the engine's own, and ends nothing."""
    reading, events = called(start(), *use(0, "Bash", '{"command": "ls"}'), stop("tool_use"))
    assert events == [ToolUse("Bash", '{"command": "ls"}')]
    assert reading.end(None) is None


def test_answer_in_a_shape():
    """The input of the answer's tool is the text, and nothing else is."""
    reading, events = called(
        start(), text("Here:"), *use(1, "x", '{"a"', ": 1}"), stop("tool_use"), answer="x"
    )
    assert events == [TextDelta('{"a"'), TextDelta(": 1}")]
    assert reading.end(None).ending is Ending.DONE


def test_empty_answer_in_a_shape():
    """An answer that is an object without anything in it is that object, and no empty text."""
    reading, events = called(start(), *use(0, "x"), stop("tool_use"), answer="x")
    assert events == [TextDelta("{}")]
    assert reading.end(None).ending is Ending.DONE


def test_call_instead_of_an_answer():
    """Where the model calls a function, that is what the turn ends with."""
    reading, events = called(start(), *use(0, "f", "{}"), stop("tool_use"), answer="x")
    assert events == [CallStarted(0, "toolu_1", "f"), CallDelta(0, "{}")]
    assert reading.end(None).ending is Ending.CALLS


def test_functions_by_another_name():
    """A function that is called otherwise upstream has its own name for the client."""
    reading = StreamParser((), {"mcp__client__f": "f"})
    raw = [start(), *use(0, "mcp__client__f", "{}"), stop("tool_use")]
    events = [event for one in raw for event in reading.read(one)]
    assert CallStarted(0, "toolu_1", "f") in events
    assert reading.called


def test_answer_that_the_engine_tells():
    """Where the engine tells the answer in the end, nothing before it is text."""
    reading, events = called(start(), text("Well."), *use(0, "S", "{}"), stop("x"), answer="")
    assert events == [ToolUse("S", "{}")]
    assert list(reading.answer({"a": "ü"})) == [TextDelta('{"a": "ü"}')]
    assert reading.end(None).ending is Ending.DONE


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ({"id": 1234567890123456800, "one": 1}, '{"id":1234567890123456789, "one": 1.0}'),
        ({"id": 5}, '{"id": 5}'),
    ],
)
def test_answer_as_it_was_written(told, text):
    """The answer is what the model wrote, if the engine has read that; else what it told."""
    written = '{"id":1234567890123456789, "one": 1.0}'
    raw = (start(), *use(0, STRUCTURED, written), stop("x"))
    assert list(called(*raw, answer="")[0].answer(told)) == [TextDelta(text)]


def test_answer_in_words():
    """A model that answers in words, and not by the tool, has answered all the same."""
    reading, events = called(start(), text('{"a"'), text(": 1}"), stop("end_turn"), answer="x")
    assert events == [TextDelta('{"a": 1}')]
    assert reading.end(None).ending is Ending.DONE


def test_answer_in_words_that_the_engine_asks_again_for():
    """Where the engine has told no answer, the words before it asked again are the answer."""
    reading, events = called(
        start(), text("{}"), stop("end_turn"), start(), text("I have."), stop("end_turn"), answer=""
    )
    assert events == []
    assert list(reading.answer_in_words()) == [TextDelta("{}")]


def test_no_answer_in_words():
    """Words beside a tool are no answer, and neither are those of a model that was cut short."""
    for reason in ("tool_use", "max_tokens"):
        reading, _ = called(start(), text("{}"), stop(reason), answer="")
        assert list(reading.answer_in_words()) == []
