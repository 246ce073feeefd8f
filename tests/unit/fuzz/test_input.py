"""Fuzz what callers send: messages and parameters of any type, and text of any characters.

Every request is answered, or refused with the path of a field that is in it.
"""

import codecs
import json
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.fuzzing import oblige
from tests.support.scripted_server import CHAT_BODY, DONE, USER, ScriptedServer, error_of
from wrapper.openapi import build_document
from wrapper.schemas.chat.parameters import PARAMETERS
from wrapper.services.events import Started, TextDelta

# Its model's answers fit the schema of the request.
SERVER = ScriptedServer(script=oblige)
# Its model plays the steps in SPOKEN.
SPOKEN: list[Any] = []
SPEAKER = ScriptedServer(script=lambda turn: list(SPOKEN))
SETTINGS = settings(max_examples=150)
LONE = "\ud83d"

_letters = st.characters(codec="utf-8")
_texts = st.one_of(
    st.text(_letters, max_size=12),
    st.sampled_from(["", " ", "\0", "\n", "a\u2028b", "\ufeff", "\U0001f600", "e\u0301", LONE]),
    st.sampled_from(["@/etc/passwd", "/clear", "#x", "!ls", "messages.0", "a.b", "%s{}"]),
)  # fmt: skip
_numbers = st.one_of(
    st.integers(),
    st.floats(allow_nan=False),
    st.sampled_from([0, -0.0, 1, 2, 8, 9, 2**31, 2**63, -(2**63), 10**400, 1e308, 5e-324]),
)
_scalars = st.none() | st.booleans() | _numbers | _texts
_json = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=10,
)

# Valid parts and messages, with other values mixed in

_ROLES = ["system", "developer", "user", "assistant", "tool", "function"]
_IDS = st.sampled_from(["a", "b", "\u00e9 ", "x" * 200])
_file_fields = st.sampled_from(["file_data", "file_id", "filename"])
_part = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": _texts}),
    st.fixed_dictionaries({"type": st.just("refusal"), "refusal": _texts}),
    st.fixed_dictionaries(
        {
            "type": st.just("image_url"),
            "image_url": st.fixed_dictionaries(
                {
                    "url": _texts
                    | st.sampled_from(["https://x.test/a", "data:image/png;base64,AA==", "file:///"])
                }
            ),
        }
    ),
    st.fixed_dictionaries({"type": st.just("file"), "file": st.dictionaries(_file_fields, _texts)}),
    _json,
)  # fmt: skip
_content = _texts | st.lists(_part, max_size=3) | _json
_function = st.fixed_dictionaries(
    {"name": _texts | st.just("f")},
    optional={"arguments": st.sampled_from(["{}", '{"a": 1e999}', "[]", "{"]) | _texts | _json},
)
_call = st.fixed_dictionaries({"id": _IDS, "type": st.just("function"), "function": _function})
_message = st.fixed_dictionaries(
    {"role": st.sampled_from(_ROLES)},
    optional={
        "content": _content,
        "name": _texts,
        "refusal": _texts | st.none(),
        "tool_calls": st.lists(_call | _json, max_size=3),
        "function_call": _function | _json,
        "tool_call_id": _IDS,
        "x": _json,
    },
)
_pair = st.tuples(_message, _call, _texts).map(
    lambda drawn: [
        {"role": "assistant", "content": None, "tool_calls": [drawn[1]]},
        {"role": "tool", "tool_call_id": drawn[1]["id"], "content": drawn[2]},
    ]
)
_conversation = st.lists(
    st.one_of((_message | _json).map(lambda message: [message]), _pair, st.just([USER])),
    max_size=4,
).map(lambda runs: [message for run in runs for message in run])


@pytest.fixture(scope="module", autouse=True)
def _closed():
    """Close the servers after the last test."""
    yield
    for server in (SERVER, SPEAKER):
        server.app.extensions["wrapper"].close()


def send(body):
    """Return the response to *body*, which may hold lone surrogates, as JSON may."""
    return SERVER.post(json.dumps(body).replace("Infinity", "1e999"))


def check(response, body):
    """Check that a response is an answer, or a refusal with a path in *body*."""
    if response.status_code == 200:
        return
    assert 400 <= response.status_code < 500, response.text[:500]
    param = error_of(response, response.status_code)["param"]
    if param is not None and param != "model":
        assert leads_into(body, param), (param, response.text[:300])


def leads_into(value, path):
    """Say whether *path* exists in *value*, or names a field that is missing there."""
    if isinstance(value, list):
        index, _, rest = path.partition(".")
        known = index.isdecimal() and int(index) < len(value)
        return known and (not rest or leads_into(value[int(index)], rest))
    if not isinstance(value, dict):
        return False
    # A name may contain dots.
    inside = (
        leads_into(inner, path[len(name) + 1 :])
        for name, inner in value.items()
        if path.startswith(f"{name}.")
    )
    return path in value or path in KNOWN or any(inside)


def fields_of(schema):
    """Yield the names of all fields in a JSON Schema."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for inner in schema.values():
            yield from fields_of(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from fields_of(inner)


DOCUMENT = build_document(SERVER.app, needs_key=False)
KNOWN = set(fields_of(DOCUMENT["components"]["schemas"]))


def test_paths():
    """The check distinguishes paths that exist from others."""
    body = {"messages": [{"role": "user", "content": [{"type": "text"}]}], "metadata": {"a.b": 1}}
    for path in ("messages", "messages.0", "messages.0.content.0.text", "metadata.a.b", "n"):
        assert leads_into(body, path), path
    for path in (
        "",
        "messages.1",
        "messages.0.content.1",
        "messages.0.role.x",
        "other",
        "messages.",
    ):
        assert not leads_into(body, path), path


@given(_conversation, st.booleans())
@SETTINGS
@example([{"role": "user", "content": LONE}], False)
@example([{"role": "user", "content": [{"type": "text", "text": [LONE]}]}], False)
@example([], False)
@example([USER, {"role": "assistant", "tool_calls": []}], True)
def test_messages(messages, last):
    """Messages of any type, text and depth are answered, or refused with a path."""
    body = {"messages": [*messages, USER] if last else messages, "model": "opus"}
    check(send(body), body)


_name = st.sampled_from(sorted(PARAMETERS))
_schemas = st.recursive(
    st.sampled_from([{}, {"type": "string"}, {"type": ["null", "x"]}, {"enum": []}, True])
    | st.fixed_dictionaries({"pattern": _texts | st.just("(a+)+$")})
    | st.fixed_dictionaries({"$ref": st.sampled_from(["#", "#/$defs/a", "https://x.test/", "a"])})
    | st.fixed_dictionaries({"minimum": _numbers, "multipleOf": _numbers}),
    lambda inner: st.fixed_dictionaries(
        {"type": st.just("object")},
        optional={
            "properties": st.dictionaries(_texts, inner, max_size=3),
            "required": st.lists(_texts, max_size=2) | _json,
            "additionalProperties": inner,
            "$defs": st.dictionaries(_texts | st.just("a"), inner, max_size=2),
            "allOf": st.lists(inner, max_size=2),
        },
    ),
    max_leaves=6,
)
_tools = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.just("function"),
            "function": st.fixed_dictionaries(
                {"name": st.sampled_from(["f", "g", "a b", "x" * 64, "x" * 65]) | _texts},
                optional={"description": _texts | _json, "parameters": _schemas | _json},
            ),
        }
    )
    | _json,
    max_size=3,
)
_formats = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "json_object", "json_schema"]) | _texts},
    optional={
        "json_schema": st.fixed_dictionaries({"name": _texts}, optional={"schema": _schemas})
    },
)
_parameters = st.dictionaries(_name, _json, max_size=3) | st.fixed_dictionaries(
    {},
    optional={
        "tools": _tools,
        "tool_choice": st.sampled_from(["auto", "none", "required"]) | _json,
        "response_format": _formats | _json,
        "stop": st.lists(_texts, max_size=5) | _texts,
        "metadata": st.dictionaries(_texts, _texts, max_size=17),
        "session_id": _texts,
        "n": _numbers,
        "max_tokens": _numbers,
        "temperature": _numbers,
        "claude": st.dictionaries(st.sampled_from(["profile", "max_turns", "compact"]), _json),
    },
)


@given(_parameters)
@SETTINGS
@example({"temperature": 1e999})
@example({"max_tokens": 10**400})
@example({"seed": 10**400})
@example({"metadata": {"a.b": 5}})
@example({"stop": [LONE]})
@example({"session_id": LONE})
@example({"response_format": {"type": "json_object"}})
def test_parameters(parameters):
    """Parameters of any type and value are accepted, or refused with a path."""
    body = {**CHAT_BODY, **parameters}
    check(send(body), body)


@pytest.mark.parametrize("name", sorted(PARAMETERS))
@given(value=_json)
@settings(max_examples=25)
def test_each_parameter(name, value):
    """Each parameter with any value is accepted, or refused with its path."""
    body = {**CHAT_BODY, name: value}
    check(send(body), body)


def test_infinite_numbers():
    """A number that no double can hold is refused, since infinity cannot be sent on."""
    schema = '{"type": "object", "properties": {"a": {"default": -1e999}}}'
    tools = f'[{{"type": "function", "function": {{"name": "f", "parameters": {schema}}}}}]'
    server = ScriptedServer()
    response = server.post(f'{{"messages": [{json.dumps(USER)}], "tools": {tools}}}')
    assert "-1e999" in error_of(response, 400)["message"]
    assert server.engine.turns == []


@given(st.binary(max_size=60) | st.text(max_size=40).map(str.encode))
@SETTINGS
def test_any_body(raw):
    """A body of any bytes is answered or refused."""
    response = SERVER.post(raw)
    assert response.status_code in (200, 400)


@given(_texts, _texts, _texts)
@SETTINGS
def test_headers(key, request_id, attempt):
    """Headers with any characters that HTTP allows do not break a request."""
    headers = {"x-api-key": key, "x-request-id": request_id, "Idempotency-Key": attempt}
    clean = {name: re.sub(r"[\r\n\0]", "", value) for name, value in headers.items()}
    sent = {
        name: value.encode("utf-8", "replace").decode("latin-1") for name, value in clean.items()
    }
    assert SERVER.ask(headers=sent).status_code == 200


# Streams, read by a strict parser


class Parser:
    """Parses server-sent events from bytes in any pieces; see the HTML standard, 9.2.6."""

    def __init__(self):
        self.events = []
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self._text = ""
        self._data = []

    def feed(self, piece):
        self._text += self._decoder.decode(piece)
        # The line feed that belongs to a carriage return at the end may still come.
        while match := re.search(r"\r\n|\r(?!$)|\n", self._text, re.ASCII):
            line, self._text = self._text[: match.start()], self._text[match.end() :]
            self._line(line)

    def _line(self, line):
        if not line:
            if self._data:
                self.events.append("\n".join(self._data))
            self._data = []
            return
        name, _, value = line.partition(":")
        assert name in ("", "data"), line[:80]
        if name:
            self._data.append(value.removeprefix(" "))

    def end(self):
        """Return the events of the stream, which must not end within one."""
        assert (self._decoder.decode(b"", True), self._text, self._data) == ("", "", [])
        return self.events


def parse(raw, cuts=()):
    parser, positions = Parser(), sorted({0, *(cut % (len(raw) + 1) for cut in cuts), len(raw)})
    for begin, end in pairwise(positions):
        parser.feed(raw[begin:end])
    return parser.end()


@pytest.mark.parametrize("cuts", [(), range(1000)])
def test_parser(cuts):
    """The parser follows the standard's rules for lines and its examples."""
    raw = ": a\n\ndata: 1\r\ndata:2\r\rdata:  \u2028\n\ndata\n\n\n".encode()
    assert parse(raw, cuts) == ["1\n2", " \u2028", ""]


_PIECES = [
    *("\n", "\r", "\r\n", "\n\n", "\u2028", "\u2029", "\x85", "\v", "\f", "\0", "\ufeff"),
    *("data:", "data: [DONE]", "[DONE]", ": ping", "event: x", "id: 1", "retry: 1"),
    *('"', "\\", "\\n", "</script>", "\U0001f468\u200d\U0001f469", "e\u0301", "\ud7ff", "\uffff"),
]
_answers = st.lists(
    st.text(_letters, max_size=30) | st.lists(st.sampled_from(_PIECES), max_size=6).map("".join),
    max_size=6,
)


@given(_answers, st.lists(st.integers(0, 100_000), max_size=12))
@SETTINGS
@example(["data: [DONE]\n\n"], [])
@example(["[DONE]", "\n\ndata: [DONE]\n\n"], list(range(2000)))
def test_framing(answer, cuts):
    """A strict parser gets exactly the model's text, wherever the stream is cut."""
    SPOKEN[:] = [Started("m"), *map(TextDelta, answer), DONE]
    *events, done = parse(SPEAKER.ask(stream=True).data, cuts)
    assert done == "[DONE]"
    choices = [choice for event in events for choice in json.loads(event)["choices"]]
    assert "".join(choice["delta"].get("content") or "" for choice in choices) == "".join(answer)
    whole = SPEAKER.ask().json["choices"][0]["message"]["content"]
    assert whole == "".join(answer)
