"""The completion: a turn's events as a whole answer, and as the chunks of a streamed one."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrapper.routes.headers import note_headers
from wrapper.services.approvals.approval import Approval, Asker, Decision
from wrapper.services.approvals.presenter import to_json
from wrapper.services.events import (
    ApprovalChanged,
    CallDelta,
    CallStarted,
    Ended,
    Ending,
    Event,
    ReasoningDelta,
    Started,
    TextDelta,
    ToolUse,
    ToolUsed,
)
from wrapper.services.fronts.chat import ChatPresenter, build_usage
from wrapper.services.spent import Usage

USAGE = Usage(input=10, cache_read=20, cache_creation=30, output=40, reasoning=5)
DONE = Ended(Ending.DONE, USAGE, 0.25)
ANSWER: list[Event] = [Started("sonnet"), TextDelta("Good "), TextDelta("day."), DONE]


def presenter(**fields):
    return ChatPresenter("chatcmpl-1", 1700000000, note_headers, **fields)


def items(events, index=0):
    return [(index, event) for event in events]


def whole(events=ANSWER, **fields):
    return presenter(**fields).whole(items(events))


def chunks(events=ANSWER, **fields):
    return list(presenter(**fields).chunks(items(events)))


def deltas(found):
    return [choice["delta"] for chunk in found for choice in chunk["choices"]]


def test_whole_answer():
    """A whole answer has every key that OpenAI's has."""
    body = whole()
    usage = body.pop("usage")
    assert body == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "sonnet",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Good day.",
                    "refusal": None,
                    "annotations": [],
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
    }
    assert usage == build_usage([DONE])


def test_approvals():
    """A stream has each change of an approval, in a chunk with an empty delta."""
    asker = Asker("alice", "req_1", "s")
    waits = Approval("apr_1", asker, "Bash", {"command": "ls"}, "ls", "Bash(ls)", 1.0, 2.0)
    denied = replace(waits, decision=Decision("denied", reason="No.", by="ann"))
    events = [ANSWER[0], ApprovalChanged(waits), ApprovalChanged(denied), *ANSWER[1:]]
    shown = [chunk for chunk in chunks(events) if "claude" in chunk]
    assert [chunk["claude"]["approval"] for chunk in shown] == [to_json(waits), to_json(denied)]
    assert deltas(shown) == [{}, {}]
    assert whole(events) == whole()


def test_empty_answer():
    """An answer without text has an empty text, not null."""
    assert whole([Started("m"), DONE])["choices"][0]["message"]["content"] == ""


def test_silence_is_no_part_of_an_answer():
    """Moments in which nothing came leave no trace in a whole answer."""
    events = items(ANSWER)
    assert presenter().whole([None, *events, None]) == presenter().whole(events)


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        (Ending.DONE, "stop"),
        (Ending.LENGTH, "length"),
        (Ending.REFUSED, "content_filter"),
    ],
)
def test_finish_reasons(ending, reason):
    """Each way in which a turn ends has OpenAI's reason for it, whole and streamed."""
    events = [Started("m"), TextDelta("a"), Ended(ending, USAGE, None)]
    assert whole(events)["choices"][0]["finish_reason"] == reason
    assert chunks(events)[-1]["choices"][0]["finish_reason"] == reason


def test_reasoning_is_apart():
    """Reasoning stands beside the content, never in it."""
    events = [Started("m"), ReasoningDelta("h"), ReasoningDelta("m"), TextDelta("a"), DONE]
    message = whole(events)["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("a", "hm")
    assert deltas(chunks(events))[1:4] == [
        {"reasoning_content": "h"},
        {"reasoning_content": "m"},
        {"content": "a"},
    ]


def test_no_reasoning_unless_there_is():
    """Without reasoning its key is absent."""
    assert "reasoning_content" not in whole()["choices"][0]["message"]


def test_usage():
    """The prompt counts what was cached too; all of OpenAI's details are there."""
    assert build_usage([DONE]) == {
        "prompt_tokens": 60,
        "completion_tokens": 40,
        "total_tokens": 100,
        "prompt_tokens_details": {
            "cached_tokens": 20,
            "cache_write_tokens": 30,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": 5,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
        "cost_usd": 0.25,
    }


COUNT = st.integers(0, 10**9)
USAGES = st.builds(Usage, COUNT, COUNT, COUNT, COUNT, st.just(0))


@given(st.lists(USAGES, max_size=8))
def test_usage_adds_up(usages):
    """Usage is summed over the choices, and no part of it exceeds its whole."""
    usage = build_usage([Ended(Ending.DONE, each, None) for each in usages])
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["completion_tokens"] == sum(each.output for each in usages)
    details = usage["prompt_tokens_details"]
    assert details["cached_tokens"] + details["cache_write_tokens"] <= usage["prompt_tokens"]


@pytest.mark.parametrize(
    ("costs", "total"),
    [((0.1, 0.2), 0.3), ((0.5, None), None), ((None,), None), ((0.0,), 0.0)],
)
def test_cost(costs, total):
    """The cost is the sum over the choices, and null where a part of it is not known."""
    ended = [Ended(Ending.DONE, USAGE, cost) for cost in costs]
    assert build_usage(ended)["cost_usd"] == total


def test_chunks():
    """A stream is a role, the deltas, and a reason to finish, in that order."""
    assert [chunk["choices"] for chunk in chunks()] == [
        [
            {
                "index": 0,
                "delta": {"role": "assistant", "content": "", "refusal": None},
                "logprobs": None,
                "finish_reason": None,
            }
        ],
        [{"index": 0, "delta": {"content": "Good "}, "logprobs": None, "finish_reason": None}],
        [{"index": 0, "delta": {"content": "day."}, "logprobs": None, "finish_reason": None}],
        [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}],
    ]


def test_chunks_repeat_the_head():
    """Every chunk bears the same id, time and model, and neither usage nor error."""
    for chunk in chunks():
        assert chunk.pop("choices")
        assert chunk == {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1700000000,
            "model": "sonnet",
        }


def test_usage_chunk():
    """Where it is asked for, usage comes last, without choices; before, it is null."""
    *earlier, last = chunks(include_usage=True)
    assert last["choices"] == []
    assert last["usage"] == build_usage([DONE])
    assert [chunk["usage"] for chunk in earlier] == [None] * 4
    assert [chunk["choices"] for chunk in earlier] == [chunk["choices"] for chunk in chunks()]


def test_silent_moments():
    """Moments in which nothing came are passed on, so that the stream can be kept alive."""
    found = list(presenter().chunks([None, (0, ANSWER[0]), None, *items(ANSWER[1:])]))
    assert found[0] is None
    assert found[2] is None
    assert [chunk for chunk in found if chunk] == chunks()


def test_several_choices_whole():
    """Each choice has its own text and reason, in the order of their indices."""
    other = [Started("m"), TextDelta("b"), Ended(Ending.LENGTH, USAGE, 0.5)]
    first = [Started("m"), TextDelta("a"), DONE]
    body = presenter(choices=2).whole([*items(other, 1), *items(first)])
    found = [(c["index"], c["message"]["content"], c["finish_reason"]) for c in body["choices"]]
    assert found == [(0, "a", "stop"), (1, "b", "length")]
    assert body["usage"]["completion_tokens"] == 80
    assert body["usage"]["cost_usd"] == 0.75


def test_several_choices_streamed():
    """All roles come first, in the order of their indices, whichever choice is the quickest."""
    quick = [*items([Started("m"), TextDelta("c")], 2), *items([Started("m"), TextDelta("a")])]
    slow = [(2, DONE), (0, DONE), *items([Started("m"), DONE], 1)]
    found = [chunk or {} for chunk in presenter(choices=3).chunks([*quick, *slow])]
    indices = [chunk["choices"][0]["index"] for chunk in found]
    assert indices == [0, 1, 2, 2, 0, 2, 0, 1]
    assert [("role" in delta) for delta in deltas(found)] == [True] * 3 + [False] * 5


@pytest.mark.parametrize(
    ("asked", "told"), [(None, None), ("auto", "default"), ("priority", "default")]
)
def test_service_tier(asked, told):
    """A tier is told only where one was asked for, whole and in every chunk."""
    assert whole(service_tier=asked).get("service_tier") == told
    assert {chunk.get("service_tier") for chunk in chunks(service_tier=asked)} == {told}
    assert ("service_tier" in whole(service_tier=asked)) is (asked is not None)


TEXTS = st.lists(st.text(), max_size=6)


@given(TEXTS)
def test_streamed_is_whole(texts):
    """What is streamed, joined, is what the whole answer says."""
    events = [Started("m"), *map(TextDelta, texts), DONE]
    streamed = "".join(delta.get("content", "") for delta in deltas(chunks(events)))
    assert streamed == whole(events)["choices"][0]["message"]["content"] == "".join(texts)


CALLS: list[Event] = [
    Started("sonnet"),
    CallStarted(0, "call_1", "f"),
    CallDelta(0, '{"a"'),
    CallDelta(0, ": 1}"),
    CallStarted(1, "call_2", "g"),
    CallDelta(1, "{}"),
    Ended(Ending.CALLS, USAGE, 0.25),
]


def test_whole_calls():
    """Calls stand in the message, whose content is null where nothing was said."""
    (choice,) = whole(CALLS)["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert choice["message"]["tool_calls"] == [
        {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
        {"id": "call_2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]
    said = whole([CALLS[0], TextDelta("Well."), *CALLS[1:]])["choices"][0]["message"]
    assert said["content"] == "Well."


def test_streamed_calls():
    """A call's id, type and name come once, in its first delta, and its arguments as they come."""
    found = chunks(CALLS)
    told = [delta["tool_calls"][0] for delta in deltas(found) if "tool_calls" in delta]
    first = {"name": "f", "arguments": ""}
    assert told[0] == {"index": 0, "id": "call_1", "type": "function", "function": first}
    assert told[1] == {"index": 0, "function": {"arguments": '{"a"'}}
    assert [call["index"] for call in told] == [0, 0, 0, 1, 1]
    assert found[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_first_form():
    """A call in the API's first form is told in that."""
    called = [CALLS[0], *CALLS[4:]]
    called = [CallStarted(0, "c", "g") if isinstance(e, CallStarted) else e for e in called]
    called = [CallDelta(0, "{}") if isinstance(e, CallDelta) else e for e in called]
    (choice,) = whole(called, legacy_functions=True)["choices"]
    assert choice["message"]["function_call"] == {"name": "g", "arguments": "{}"}
    assert choice["finish_reason"] == "function_call"
    found = chunks(called, legacy_functions=True)
    told = [delta["function_call"] for delta in deltas(found) if "function_call" in delta]
    assert told == [{"name": "g", "arguments": ""}, {"arguments": "{}"}]
    assert found[-1]["choices"][0]["finish_reason"] == "function_call"


def test_use_of_tools_in_a_stream():
    """With show_tool_use, chunks have each use of a tool and its end as data, too."""
    uses = [
        ToolUse("Bash", '{"a": 1}', "t1"),
        ToolUsed("Bash", "failed", 0.25, "t1", "no"),
        ToolUsed("Read", "done", 1.0),  # a subagent's
    ]
    events = [Started("sonnet"), *uses, DONE]
    found = [chunk["claude"] for chunk in chunks(events, show_tool_use=True) if "claude" in chunk]
    assert found == [
        {"tool_use": {"id": "t1", "name": "Bash", "arguments": '{"a": 1}'}},
        {"tool_result": {"id": "t1", "outcome": "failed", "seconds": 0.25, "output": "no"}},
    ]
    assert not any("claude" in chunk for chunk in chunks(events))
