"""The presenter of the Responses API: its items, its events, and what any events add up to."""

import json
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrapper import errors
from wrapper.notes import Notes
from wrapper.services.approvals.approval import Approval, Asker
from wrapper.services.approvals.presenter import to_json
from wrapper.services.events import (
    ApprovalChanged,
    CallDelta,
    CallStarted,
    Ended,
    Ending,
    Noted,
    ReasoningDelta,
    RedactedThought,
    Started,
    TextDelta,
    Thought,
    ToolUse,
    ToolUsed,
)
from wrapper.services.fronts.response_encoder import ResponseEncoder
from wrapper.services.fronts.responses import (
    ResponseRequest,
    ResponsesPresenter,
    failure_code,
)
from wrapper.services.fronts.tool_names import ToolName
from wrapper.services.messages.answer import Answer
from wrapper.services.messages.thinking_codec import load_thinking
from wrapper.services.request import TurnRequest
from wrapper.services.spent import Usage
from wrapper.services.turn import RedactedThinking, Thinking

USAGE = Usage(input=3, cache_read=4, cache_creation=5, output=6, reasoning=2)
NAMES = {
    "f": ToolName("f"),
    "c": ToolName("c", "custom"),
    "ns__g": ToolName("g", namespace="ns"),
}
REPEATED = {"tools": [], "store": False}
KINDS = ("message", "reasoning", "function_call", "custom_tool_call")


def presenter(*, show_tool_use=False, **options):
    request = TurnRequest((), model="asked", show_tool_use=show_tool_use)
    asked = ResponseRequest(request, REPEATED, NAMES, lambda path: f"at {path}", **options)
    return ResponsesPresenter(
        asked, lambda notes: {"x": str(notes.cost_usd)}, token="t", clock=lambda: 7.9
    )


def run(*events, ending=Ending.DONE):
    return [(0, event) for event in (Started("ran"), *events, Ended(ending, USAGE, 0.5))]


def types(events):
    return [event["type"].removeprefix("response.") for event in events]


def test_text():
    """A text is one message, told piece by piece between the events that frame it."""
    events = list(presenter().chunks(run(TextDelta("Hel"), TextDelta("lo"))))
    assert types(events) == [
        *("created", "in_progress", "output_item.added", "content_part.added"),
        *("output_text.delta", "output_text.delta", "output_text.done"),
        *("content_part.done", "output_item.done", "completed"),
    ]
    (item,) = events[-1]["response"]["output"]
    assert item["content"][0]["text"] == "Hello"
    assert item["id"] == "msg_t_0"
    where = {"item_id": "msg_t_0", "output_index": 0, "content_index": 0}
    assert where.items() <= events[4].items()


def test_response():
    """The response says which model ran, what it used, and repeats the request."""
    response = presenter().whole(run(TextDelta("a")))
    assert response["id"] == "resp_t"
    assert (response["model"], response["status"]) == ("ran", "completed")
    assert (response["created_at"], response["completed_at"]) == (7, 7)
    assert (response["store"], response["tools"]) == (False, [])
    assert response["usage"] == {
        "input_tokens": 12,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 5},
        "output_tokens": 6,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 18,
        "cost_usd": 0.5,
    }


@pytest.mark.parametrize(
    ("ending", "status", "reason"),
    [
        (Ending.DONE, "completed", None),
        (Ending.CALLS, "completed", None),
        (Ending.LENGTH, "incomplete", "max_output_tokens"),
        (Ending.BUDGET, "incomplete", "max_output_tokens"),
        (Ending.REFUSED, "incomplete", "content_filter"),
    ],
)
def test_endings(ending, status, reason):
    """The status says why the response ended, and so does that of the item that was open."""
    response = presenter().whole(run(TextDelta("a"), ending=ending))
    assert response["status"] == status
    assert response["incomplete_details"] == (reason and {"reason": reason})
    assert response["output"][0]["status"] == status


def test_refusal_without_a_text():
    """A refused answer may have no output."""
    assert presenter().whole(run(ending=Ending.REFUSED))["output"] == []


@pytest.mark.parametrize(("summary", "texts"), [(True, ["Hm. So."]), (False, [])])
def test_summary(summary, texts):
    """Thinking is shown only if a summary is asked for; its item is there in any case."""
    thought = (ReasoningDelta("Hm. "), ReasoningDelta("So."), Thought("Hm. So.", "sig"))
    response = presenter(summary=summary).whole(run(*thought, TextDelta("a")))
    reasoning, message = response["output"]
    assert [part["text"] for part in reasoning["summary"]] == texts
    assert "encrypted_content" not in reasoning
    assert (reasoning["id"], message["id"]) == ("rs_t_0", "msg_t_1")


def test_encrypted():
    """The signed form of the thinking holds the blocks that came in a row."""
    blocks = (Thought("Hm.", "s1", "p"), RedactedThought("data"), Thought("", "s2"))
    response = presenter(encrypted=True).whole(run(*blocks, TextDelta("a"), Thought("b", "s3")))
    first, _, second = response["output"]
    assert load_thinking(first["encrypted_content"]) == (
        *(Thinking("Hm.", "s1", "p"), RedactedThinking("data"), Thinking("", "s2")),
    )
    assert load_thinking(second["encrypted_content"]) == (Thinking("b", "s3"),)


def test_calls():
    """Calls come one after the other, each by the name that the client gave its tool."""
    calls = (
        *(CallStarted(0, "toolu_1", "f"), CallDelta(0, '{"a":'), CallDelta(0, "1}")),
        *(CallStarted(1, "toolu_2", "ns__g"), CallDelta(1, "{}")),
    )
    first, second = presenter().whole(run(*calls, ending=Ending.CALLS))["output"]
    assert first == {
        "id": "fc_t_0",
        "type": "function_call",
        "status": "completed",
        "call_id": "toolu_1",
        "name": "f",
        "arguments": '{"a":1}',
    }
    assert (second["id"], second["name"], second["namespace"]) == ("fc_t_1", "g", "ns")


def test_cut_call():
    """A call that was cut is no output, and has no event that says it is done."""
    calls = (TextDelta("a"), CallStarted(0, "toolu_1", "f"), CallDelta(0, '{"a":'))
    events = list(presenter().chunks(run(*calls, ending=Ending.LENGTH)))
    assert types(events).count("output_item.added") == 2
    assert types(events).count("output_item.done") == 1
    assert [item["type"] for item in events[-1]["response"]["output"]] == ["message"]


@given(st.text(), st.booleans(), st.lists(st.integers(1, 9), max_size=20))
def test_custom_input(text, ascii_, sizes):
    """However the arguments are cut, the deltas add up to the input of the custom tool."""
    raw = json.dumps({"input": text}, ensure_ascii=ascii_)
    pieces, at = [], 0
    for size in sizes:
        pieces.append(raw[at : at + size])
        at += size
    pieces.append(raw[at:])
    deltas = [CallDelta(0, piece) for piece in pieces]
    call = (CallStarted(0, "toolu_1", "c"), *deltas)
    events = list(presenter().chunks(run(*call, ending=Ending.CALLS)))
    shown = [e["delta"] for e in events if e["type"] == "response.custom_tool_call_input.delta"]
    assert "".join(shown) == text
    assert events[-1]["response"]["output"][0]["input"] == text


@pytest.mark.parametrize("raw", ['{"input":"a\\udc00b\\ud800"}', '{"input":["\\ud800"]}'])
def test_custom_input_that_is_no_text(raw):
    """A surrogate that the model escapes alone does not end the stream."""
    calls = (CallStarted(0, "toolu_1", "c"), *map(partial(CallDelta, 0), raw))
    events = list(presenter().chunks(run(*calls, ending=Ending.CALLS)))
    encode = ResponseEncoder(REPEATED).encode
    assert all(encode(event).encode() for event in events)
    (item,) = events[-1]["response"]["output"]
    assert item["input"] in ("a?b?", '["?"]')
    assert _accumulated(events) == [("custom_tool_call", item["input"])]


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ('{"input": "a\nb"}', "a\nb"),
        ('{"input": "a", "input": "b"}', "a"),
        ('{"input": "a", "x": ' + "[" * 1000 + "]" * 1000 + "}", "a"),
        ('{"input": "a"} and more', "a"),
        ('{"input": "a\\qb"}', 'a\\qb"}'),
        ('{"input": "a\\qb, and more"}', 'a\\qb, and more"}'),
        ('{"input": "a\\ud800, and more"}', "a?, and more"),
        (" " * 200 + '{"input": "a"}', "a"),
    ],
    ids=[
        "newline",
        "repeated",
        "deep",
        "behind",
        "late escape",
        "escape",
        "surrogate",
        "white space",
    ],
)
@pytest.mark.parametrize("cut", [True, False])
def test_odd_custom_input(raw, told, cut):
    """What the deltas of an odd input add up to is also the input that is done."""
    deltas = map(partial(CallDelta, 0), raw if cut else [raw])
    calls = (CallStarted(0, "toolu_1", "c"), *deltas)
    events = list(presenter().chunks(run(*calls, ending=Ending.CALLS)))
    (item,) = events[-1]["response"]["output"]
    assert item["input"] == told
    assert _accumulated(events) == [("custom_tool_call", told)]
    (done,) = (event for event in events if event["type"].endswith("input.done"))
    assert done["input"] == told


@pytest.mark.parametrize(("shown", "texts"), [(True, ['[Bash] {"a": 1}\n']), (False, [])])
def test_tool_use(shown, texts):
    """An agent's tool use is a summary where it is asked for."""
    output = presenter(show_tool_use=shown).whole(run(ToolUse("Bash", '{"a": 1}')))["output"]
    assert [part["text"] for item in output for part in item["summary"]] == texts


def test_approvals():
    """A stream has an event of its own for an approval; a whole response has nothing of it."""
    events = list(presenter().chunks(run(ApprovalChanged(APPROVAL), TextDelta("a"))))
    (shown,) = (event for event in events if event["type"] == "claude.approval")
    assert shown["approval"] == to_json(APPROVAL)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    (item,) = presenter().whole(run(ApprovalChanged(APPROVAL), TextDelta("a")))["output"]
    assert item["type"] == "message"


def test_silence():
    """A silent stream begins with the model that was asked for, and None stands for the silence."""
    items = presenter().chunks([None, *run(TextDelta("a"))])
    first = [next(items) for _ in range(3)]
    assert first[0]["response"]["model"] == "asked"
    assert first[2] is None


def test_keepalive():
    """A sign of life has the next sequence number."""
    writer = presenter()
    items = writer.chunks([None, *run()])
    assert [next(items) for _ in range(3)][-1] is None
    assert writer.keepalive() == {"type": "keepalive", "sequence_number": 2}
    assert next(items)["sequence_number"] == 3


def test_failure():
    """A stream that fails keeps its finished items, and names the input as this API does."""
    writer = presenter()
    call = CallStarted(0, "toolu_1", "f")
    stream = writer.chunks([(0, Started("ran")), (0, TextDelta("a")), (0, call)])
    for event in stream:
        if event["type"] == "response.output_item.done":
            break
    error = errors.InvalidRequest("messages: too odd", param="messages")
    failed = writer.failure(error)
    assert failed["type"] == "response.failed"
    assert failed["response"]["error"] == {
        "code": "invalid_prompt",
        "message": "at messages: too odd",
    }
    assert [item["type"] for item in failed["response"]["output"]] == ["message"]
    assert failed["response"]["usage"] is None


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UpstreamFailed("a"), "server_error"),
        (errors.BadGateway("a"), "server_error"),
        (errors.TimedOut("a"), "server_error"),
        (errors.RateLimited("a"), "rate_limit_exceeded"),
        (errors.Overloaded("a"), "server_is_overloaded"),
        (errors.QuotaExceeded("a"), "insufficient_quota"),
        (errors.ContextLengthExceeded("a"), "context_length_exceeded"),
        (errors.InvalidRequest("a"), "invalid_prompt"),
    ],
)
def test_failure_codes(error, code):
    """The code tells the client whether to repeat; an agent's work must never be repeated."""
    assert failure_code(error, used_tools=False) == code
    assert failure_code(error, used_tools=True) == "invalid_prompt"


def test_wait():
    """A limit that passes says when to come back, in words that Codex reads."""
    failed = presenter().failure(errors.RateLimited("Too many.", retry_after=5))
    assert failed["response"]["error"]["message"] == "Too many. Please try again in 5 s."


def test_notes():
    """Notes that come up while the turn runs are at the response's end."""
    response = presenter().whole(run(Noted(Notes(cost_usd=1.5))))
    assert response["notes"] == {"x": "1.5"}


TEXT = st.text(min_size=1, max_size=5)
APPROVAL = Approval("apr_1", Asker("alice"), "Bash", {}, "ls", "Bash(ls)", 1.0, 2.0)
MCP_TOOL = "mcp__s__t"
MCP_USE = (ToolUse(MCP_TOOL, '{"a": 1}', "t1"), ToolUsed(MCP_TOOL, "done", 0.5, "t1", "Found."))
SPOKEN = st.one_of(
    TEXT.map(TextDelta),
    TEXT.map(ReasoningDelta),
    st.builds(Thought, TEXT, TEXT),
    st.builds(RedactedThought, TEXT),
    st.just(ToolUse("Bash", "{}")),
    st.just(ApprovalChanged(APPROVAL)),
    st.sampled_from(MCP_USE),
)
CALLED = st.tuples(
    st.sampled_from([*NAMES, "unknown"]), st.lists(TEXT | st.sampled_from(MCP_USE), max_size=3)
)


@st.composite
def turns(draw):
    """Draw a turn's events: text, thinking, calls and tools in any order."""
    events, calls = [], 0
    for part in draw(st.lists(st.one_of(SPOKEN, CALLED), max_size=12)):
        if not isinstance(part, tuple):
            events.append(part)
            continue
        name, pieces = part
        events.append(CallStarted(calls, f"toolu_{calls}", name))
        events += [CallDelta(calls, p) if isinstance(p, str) else p for p in pieces]
        calls += 1
    ending = draw(st.sampled_from([e for e in Ending if e is not Ending.ABANDONED]))
    return run(*events, ending=ending)


@given(turns(), st.booleans(), st.booleans(), st.booleans())
def test_any_turn(items, summary, encrypted, show_tool_use):
    """Numbers have no gap, ids agree, what is added is done, and the end is the sum of it all."""
    writer = presenter(summary=summary, encrypted=encrypted, show_tool_use=show_tool_use)
    events = list(writer.chunks(items))
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    encode = ResponseEncoder(REPEATED).encode
    assert [json.loads(encode(event)) for event in events] == events
    assert types(events)[:2] == ["created", "in_progress"]
    response = events[-1]["response"]
    assert events[-1]["type"] == f"response.{response['status']}"
    added = [event["item"] for event in events if event["type"].endswith("output_item.added")]
    done = [event["item"] for event in events if event["type"].endswith("output_item.done")]
    assert response["output"] == done
    assert len(added) - len(done) in ((0, 1) if response["status"] == "incomplete" else (0,))
    assert [item["id"].rpartition("_")[2] for item in added] == [*map(str, range(len(added)))]
    types_of = {item["id"]: item["type"] for item in added}
    assert all(types_of[item["id"]] == item["type"] for item in done)
    indexes = {
        e["item"]["id"]: e["output_index"] for e in events if "output_index" in e and "item" in e
    }
    assert all(id_.endswith(f"_{index}") for id_, index in indexes.items())
    assert _accumulated(events) == [_content(item) for item in done]


def _accumulated(events):
    """Return the type and the text of each finished item, as its deltas add up."""
    texts: dict[str, str] = {}
    kinds: dict[str, str] = {}
    finished: list[tuple[str, str]] = []
    for event in events:
        if event["type"].endswith("output_item.added"):
            kinds[event["item"]["id"]] = event["item"]["type"]
        elif event["type"].endswith(".delta"):
            texts[event["item_id"]] = texts.get(event["item_id"], "") + event["delta"]
        elif event["type"].endswith("output_item.done"):
            id_ = event["item"]["id"]
            finished.append((kinds[id_], texts.get(id_, "")))
    return finished


def _content(item):
    match item["type"]:
        case "message":
            return item["type"], item["content"][0]["text"]
        case "reasoning":
            return item["type"], "".join(part["text"] for part in item["summary"])
        case "function_call" | "mcp_call":
            return item["type"], item["arguments"]
    return item["type"], item["input"]


def remembered(writer, items):
    """Yield *items*; as a run does, remember the answer before its end is told."""
    for item in items:
        if item and isinstance(item[1], Ended):
            writer.remember(Answer(ended=item[1]))
        yield item


def without_thinking(response):
    output = [{k: v for k, v in i.items() if k != "encrypted_content"} for i in response["output"]]
    return {**response, "output": output}


@given(turns(), st.booleans(), st.booleans())
def test_kept(items, summary, encrypted):
    """What is stored at a turn's end is what its stream ends with, and all of its thinking."""
    kept = []
    asked = ResponseRequest(
        TurnRequest((), model="asked"),
        {**REPEATED, "store": True},
        NAMES,
        summary=summary,
        encrypted=encrypted,
    )

    def keep(response):
        kept.append(response)
        return True

    writer = ResponsesPresenter(asked, lambda notes: {}, token="t", keep=keep)
    last = [event for event in writer.chunks(remembered(writer, items)) if event][-1]["response"]
    (stored,) = kept
    assert without_thinking(stored) == without_thinking(last)
    thoughts = [event for _, event in items if isinstance(event, Thought | RedactedThought)]
    blocks = [
        block
        for item in stored["output"]
        if "encrypted_content" in item
        for block in load_thinking(item["encrypted_content"])
    ]
    assert len(blocks) == len(thoughts)
