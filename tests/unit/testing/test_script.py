"""The script: how directives in a message determine the scripted upstream's answer."""

import json

import pytest

from wrapper.testing.answer import answer_events, count_words, error_body
from wrapper.testing.calls import ALWAYS, sample
from wrapper.testing.script import Script, read_script


def script_of(*contents, **fields):
    """Return the script of a conversation in which user and assistant alternate."""
    roles = ("user", "assistant")
    messages = [{"role": roles[at % 2], "content": content} for at, content in enumerate(contents)]
    return read_script({"messages": messages, **fields})


def events_of(script, **body):
    return list(answer_events(script, {"messages": [], **body}, "sonnet"))


def kinds_of(timed):
    return [event["type"] for _, event in timed]


def test_no_directive():
    """The answer to a message without directives repeats it."""
    assert script_of("Hi there").text == "You said: Hi there"


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("[[say Good day.]]", "Good day."),
        ("Please [[say a b]] now", "a b"),
        ("[[deltas 3]]", "w1 w2 w3"),
        ('[[json {"a": ["]]"]}]]', '{"a": ["]]"]}'),
        ("[[stop refusal]]", "done"),
        ("[[SAY x]]", "You said: [[SAY x]]"),
        ("[[say x", "You said: [[say x"),
        ("", "You said: "),
    ],
)
def test_texts(prompt, text):
    """The directives determine the answer's text."""
    assert script_of(prompt).text == text


@pytest.mark.parametrize(
    ("prompt", "field", "value"),
    [
        ("[[think let me see]]", "thinking", "let me see"),
        ("[[tool Read {}]]", "tool", ("Read", {})),
        ("[[tool Read]]", "tool", ("Read", {})),
        ('[[tool Bash {"command":"[[ -e x ]]"}]]', "tool", ("Bash", {"command": "[[ -e x ]]"})),
        ("[[stop max_tokens]]", "stop_reason", "max_tokens"),
        ('[[usage {"input_tokens": 7}]]', "usage", {"input_tokens": 7}),
        ("[[wait 0.5]]", "wait", 0.5),
        ("[[pause 1]]", "pause", 1.0),
        ("[[stall 2]]", "stall", 2.0),
        ("[[error 429 slow down]]", "error", 429),
        ("[[error 429 slow down]]", "reason", "slow down"),
        ("[[error 529]]", "reason", ""),
        ("[[fail 2]]", "failures", 2),
        ("[[burst 2]]", "burst", 2),
        ("[[after 600]]", "after", 600),
        ("[[drop]]", "drop", True),
        ("[[garbage page]]", "garbage", "page"),
        ("[[break 529]]", "break_status", 529),
        ("[[cut]]", "cut", True),
        ("[[void]]", "void", True),
    ],
)
def test_directives(prompt, field, value):
    """Each directive sets its field only, among any other text."""
    script = script_of(f"Please {prompt} [[say x]]")
    assert getattr(script, field) == value
    assert script.text == "x"


def test_defaults():
    """Without directives nothing is delayed or broken."""
    assert script_of("[[say x]]") == Script(text="x", deltas=("x",))


@pytest.mark.parametrize("prompt", ["[[say a  b\nc]]", "[[say x ]]", "[[deltas 20]]", "one two"])
def test_deltas(prompt):
    """An answer's deltas are its words; joined, they are the answer."""
    script = script_of(prompt)
    assert "".join(script.deltas) == script.text
    assert all(len(delta.split()) == 1 for delta in script.deltas)


def test_echo():
    """An echo is the received body as JSON, in one delta."""
    script = script_of("[[echo]]", system="Be brïef.")
    assert json.loads(script.text)["system"] == "Be brïef."
    assert script.deltas == (script.text,)


def test_last_message_counts():
    """Only directives of the last user message count."""
    assert script_of("[[say a]] [[cut]]", "a", "[[say b]]") == Script(text="b", deltas=("b",))


def test_rounds():
    """Each tool is called in a round of its own, and the text follows."""
    asked = {"role": "user", "content": "[[tool A {}]] [[tool B {}]] [[say so.]]"}
    called = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "A"}]}
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]}
    rounds = [[asked], [asked, called, result], [asked, called, result, called, result]]
    scripts = [read_script({"messages": messages}) for messages in rounds]
    assert [script.tool for script in scripts] == [("A", {}), ("B", {}), None]
    assert scripts[2].text == "so."


def test_reminders_are_not_the_users():
    """Directives in Claude Code's additions do not count."""
    texts = ["<system-reminder>[[say no]]</system-reminder>", "[[say yes]]"]
    content = [{"type": "text", "text": text} for text in texts]
    assert read_script({"messages": [{"role": "user", "content": content}]}).text == "yes"


@pytest.mark.parametrize("messages", [[], [{"role": "assistant", "content": "x"}]])
def test_nobody_asked(messages):
    """Without a user message the answer repeats nothing."""
    assert read_script({"messages": messages}).text == "You said: "


def test_events():
    """An answer is streamed in the order of the Messages API, with its text in deltas."""
    timed = events_of(script_of("[[say a b]]"))
    assert kinds_of(timed) == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    events = [event for _, event in timed]
    assert events[0]["message"]["model"] == "sonnet"
    assert [e["delta"]["text"] for e in events[2:4]] == ["a", " b"]
    assert events[5]["delta"]["stop_reason"] == "end_turn"
    assert events[5]["usage"] == {"output_tokens": 2}


def test_thinking_comes_first():
    """Thinking is a block before the text, and absent if it is off."""
    script = script_of("[[think hm]] [[say a]]")
    types = [
        event["content_block"]["type"] for _, event in events_of(script) if "content_block" in event
    ]
    assert types == ["thinking", "text"]
    off = events_of(script, thinking={"type": "disabled"})
    assert "thinking_delta" not in json.dumps(off)


def test_tool_call():
    """A tool call is a block with its arguments, and the stop reason."""
    events = [event for _, event in events_of(script_of('[[tool Read {"a": 1}]]'))]
    assert events[1]["content_block"]["name"] == "Read"
    assert json.loads(events[2]["delta"]["partial_json"]) == {"a": 1}
    assert events[-2]["delta"]["stop_reason"] == "tool_use"


def test_numbers():
    """The answer reports the script's usage."""
    thought = {"thinking_tokens": 4}
    numbers = json.dumps(
        {
            "input_tokens": 7,
            "cache_read_input_tokens": 3,
            "output_tokens": 9,
            "output_tokens_details": thought,
        }
    )
    events = [event for _, event in events_of(script_of(f"[[say a]] [[usage {numbers}]]"))]
    usage = events[0]["message"]["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"]) == (7, 3)
    assert (usage["output_tokens"], usage["output_tokens_details"]) == (1, None)
    assert events[-2]["usage"] == {"output_tokens": 9, "output_tokens_details": thought}


def test_pauses():
    """Pauses come before each delta except the first, and a stall after the first."""
    deltas = [
        pause
        for pause, event in events_of(script_of("[[deltas 3]] [[pause 2]]"))
        if event["type"] == "content_block_delta"
    ]
    assert deltas == [0.0, 2.0, 2.0]
    stalled = events_of(script_of("[[deltas 3]] [[stall 5]]"))
    assert [(at, pause) for at, (pause, _) in enumerate(stalled) if pause] == [(3, 5.0)]


def test_broken_stream():
    """A broken stream ends after its first delta, with the error event of its status."""
    timed = events_of(script_of("[[deltas 3]] [[break 529]]"))
    assert kinds_of(timed)[2:] == ["content_block_delta", "ping", "error"]
    assert timed[-1][1]["error"]["type"] == "overloaded_error"


def test_cut_stream():
    """A cut stream has no end."""
    kinds = kinds_of(events_of(script_of("[[deltas 3]] [[cut]]")))
    assert kinds.count("content_block_delta") == 1
    assert "message_stop" not in kinds


def test_void():
    """A void stream has no events."""
    assert events_of(script_of("[[void]]")) == []


def test_words_are_tokens():
    """The scripted model counts the words of all texts in the request."""
    content = [{"type": "text", "text": "c d"}, {"type": "tool_result", "tool_use_id": "t"}]
    messages = [{"content": "a b"}, {"content": content}]
    assert count_words({"messages": messages}) == 4
    assert count_words({"messages": messages, "system": "e"}) == 5


def test_error_body():
    """An error has the API's shape."""
    assert error_body("api_error", "Oh.")["error"] == {"type": "api_error", "message": "Oh."}


@pytest.mark.parametrize(
    "content", ["a.txt\n\n<system-reminder>x", [{"type": "text", "text": "a.txt"}]]
)
def test_result(content):
    """[[result]] answers the last tool's result, without Claude Code's additions."""
    returned = {"type": "tool_result", "tool_use_id": "1", "content": content}
    assert script_of("[[result]]", "calling", [returned]).text == "a.txt"
    assert script_of("[[result]]").text == "done"
    assert script_of("[[result]]", "calling", [{**returned, "content": []}]).text == "done"


def test_ids():
    """Each round of a turn has its own id, because answers with one id are merged."""
    message = [{"role": "user", "content": "x"}]
    first, second = (events_of(Script("", ()), messages=message * n)[0][1] for n in (1, 3))
    assert first["message"]["id"] != second["message"]["id"]


TOOLS = [
    {"name": "A", "input_schema": {"type": "object", "properties": {}}},
    {
        "name": "mcp__of__B",
        "input_schema": {
            "type": "object",
            "properties": {"n": {"type": "integer"}, "o": {"type": "string"}},
            "required": ["n"],
        },
    },
]
NAMED = {"type": "tool", "name": "mcp__of__B"}


@pytest.mark.parametrize(
    ("prompt", "choice", "call"),
    [
        ("[[tool A {}]]", None, ("A", {})),
        ("[[tool C {}]]", None, ("C", {})),
        ('[[tool B {"n": 1}]]', None, ("mcp__of__B", {"n": 1})),
        ('[[tool B {"n": 1}]]', {"type": "auto"}, ("mcp__of__B", {"n": 1})),
        ("[[json {}]]", {"type": "auto"}, None),
        ("[[tool A {}]]", {"type": "none"}, None),
        ('[[tool B {"n": 1}]]', {"type": "any"}, ("mcp__of__B", {"n": 1})),
        ('[[json {"n": 2}]]', {"type": "any"}, ("A", {"n": 2})),
        ("hello", {"type": "any"}, ("A", {})),
        ("[[tool C {}]]", {"type": "any"}, ("A", {})),
        ('[[tool A {}]] [[tool B {"n": 1}]]', NAMED, ("mcp__of__B", {"n": 1})),
        ('[[json {"n": 2}]]', NAMED, ("mcp__of__B", {"n": 2})),
        ("hello", NAMED, ("mcp__of__B", {"n": 0})),
        ("hello", {"type": "tool", "name": "C"}, None),
    ],
)
def test_tool_choice(prompt, choice, call):
    """A forced tool is called with the directives' arguments, or the least its schema requires."""
    assert script_of(prompt, tools=TOOLS, tool_choice=choice).tool == call


def test_forced_in_a_later_round():
    """A call is forced also if the directives are used up or name other tools."""
    forced = {"tools": TOOLS, "tool_choice": {"type": "any"}}
    result = [{"type": "tool_result", "tool_use_id": "t"}]
    assert script_of('[[tool B {"n": 1}]]', "calling", result, **forced).tool[1] == {"n": 1}
    assert script_of("hello", "calling", result, **forced).tool == ("A", {})


WARM = {
    "name": "get_temperature",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
OSLO = {"city": "Oslo"}


@pytest.mark.parametrize(
    ("prompt", "more", "call"),
    [
        ("What is the temperature in Oslo?", {}, ("get_temperature", OSLO)),
        ("What is the temperature?", {}, ("get_temperature", {"city": "x"})),
        ("What is the time in Oslo?", {}, None),
        ("Get me a cup", {}, None),
        ("What is the temperature in Oslo? [[say cold]]", {}, None),
        ("What is the temperature in Oslo?", {"tool_choice": {"type": "none"}}, None),
        ("Read this", {"tools": [{"name": "Read", "input_schema": {}}]}, None),
        (
            "The temperature in Oslo",
            {"tools": [{**WARM, "name": "mcp__client__get_temperature"}]},
            ("mcp__client__get_temperature", OSLO),
        ),
        ("Of Oslo", {"tools": [{**WARM, "description": f"{ALWAYS}."}]}, ("get_temperature", OSLO)),
    ],
)
def test_likely_call(prompt, more, call):
    """A message without directives makes the model call the function it has a word of, once."""
    assert script_of(prompt, **{"tools": [WARM], **more}).tool == call


def test_likely_call_answered():
    """The result of such a call is the answer; the results of other calls are not."""
    result = [{"type": "tool_result", "tool_use_id": "t", "content": "4 °C"}]
    answered = script_of("What is the temperature?", "calling", result, tools=[WARM])
    assert (answered.tool, answered.text) == (None, "4 °C")
    assert script_of("What?", "calling", result, tools=[WARM]).text == "You said: What?"


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, "x"),
        (None, None),
        ({"type": "string", "minLength": 3}, "xxx"),
        ({"type": "string", "enum": ["b", "a"]}, "b"),
        ({"const": 4}, 4),
        ({"type": "integer", "default": 5}, 5),
        ({"type": "number", "minimum": 2}, 2),
        ({"type": "boolean"}, False),
        ({"type": "null"}, None),
        ({"type": ["integer", "null"]}, 0),
        ({"type": "array", "items": {"type": "null"}, "minItems": 2}, [None, None]),
        ({"type": "array"}, []),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 0),
        ({"oneOf": [{"type": "boolean"}]}, False),
        ({"allOf": [{"$ref": "#/$defs/P"}, {"properties": {"z": {}}}]}, {"y": 0}),
        ({"properties": {"p": {"$ref": "#/$defs/P"}}, "required": ["p"]}, {"p": {"y": 0}}),
        ({"type": "object", "properties": {"p": {}}}, {}),
    ],
)
def test_samples(schema, value):
    """A sample of a schema has its required properties, each with a simple value."""
    parts = {
        "type": "object",
        "properties": {"y": {"type": "integer"}},
        "required": ["y"],
    }
    root = {"$defs": {"P": parts}}
    assert sample(schema, root) == value


def test_recall():
    """[[recall]] answers the words to remember in order, from texts and tool results."""
    read = {"type": "tool_result", "content": "1\tremember: c-1"}
    found = {"type": "tool_result", "content": [{"type": "text", "text": "remember: b_2"}]}
    contents = ["remember: a, and remember: a!", "I remember: b", [read, found, {"type": "image"}]]
    assert script_of(*contents, "done", "[[recall]]").text == "a a b c-1 b_2"
    assert script_of("[[recall]]").text == "nothing"


REMINDED = [{"type": "text", "text": "<system-reminder>\nThat answer had no call."}]
F = {"tools": [{"name": "f", "input_schema": {"type": "object"}}]}


def test_asked_again():
    """With [[later]] the model answers with text, and calls when asked again."""
    prompt = '[[say No.]] [[later]] [[tool f {"a": 1}]]'
    first = script_of(prompt, **F)
    assert (first.text, first.tool) == ("No.", None)
    again = script_of(prompt, "No.", REMINDED, **F)
    assert again.tool == ("f", {"a": 1})
    assert script_of('[[say No.]] [[again {"a": 1}]]', "No.", REMINDED).text == '{"a": 1}'
    assert script_of('[[say No.]] [[again {"a": 1}]]').text == "No."


@pytest.mark.parametrize(
    "demand", ["calling the function f.", "a call of one or more of these functions: f, g."]
)
def test_demand_in_a_reminder(demand):
    """For a message without directives, the model makes the call that a reminder demands."""
    functions = [{"name": name, "input_schema": {"type": "object"}} for name in ("g", "f")]
    reminder = {"type": "text", "text": f"<system-reminder>\nAnswer by {demand}"}
    prompt = [{"type": "text", "text": "Well?"}, reminder]
    assert script_of(prompt, tools=functions).tool == ("f", {})
    assert script_of("Well?", tools=functions).tool is None
