"""The codec of sessions: decoding reverses encoding."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrapper.services.events import Ending
from wrapper.services.messages.message import ChatMessage
from wrapper.services.sessions.codec import (
    Unreadable,
    decode_head,
    decode_messages,
    dump_message,
    encode_head,
    encode_messages,
    measure,
)
from wrapper.services.sessions.options import Options
from wrapper.services.sessions.session import Reply, SessionInfo
from wrapper.services.spent import Usage
from wrapper.services.turn import (
    Document,
    Image,
    RedactedThinking,
    SessionKey,
    Thinking,
    ToolCall,
    ToolResult,
)

# With lone surrogates, which a model may write though no client can send them.
texts = st.text(st.characters(codec=None), max_size=20)
seconds = st.floats(0, 4e9)
counts = st.integers(0, 2**53)
dollars = st.floats(0, 1e6)
images = st.builds(Image, texts, texts, texts)
results = st.builds(ToolResult, texts, st.lists(texts | images, max_size=3).map(tuple))
calls = st.builds(ToolCall, texts, texts, texts)
documents = st.builds(Document, texts, texts, texts)
thinking = st.builds(Thinking, texts, texts, texts) | st.builds(RedactedThinking, texts, texts)
parts = st.lists(texts | images | documents | calls | results | thinking, max_size=5).map(tuple)
messages = st.builds(ChatMessage, texts, parts, texts)
usages = st.builds(Usage, *[counts] * 5)
replies = st.builds(
    Reply, texts, texts, texts, st.sampled_from(Ending), usages, st.none() | dollars
)
names = st.lists(texts, max_size=3).map(tuple)
switches = st.none() | st.booleans()
options = st.builds(
    Options,
    *[st.none() | texts] * 2,
    switches,
    *[st.none() | names] * 2,
    st.none() | texts,
    st.none() | counts,
    switches,
)
heads = st.builds(
    SessionInfo,
    st.builds(SessionKey, texts, texts, texts),
    seconds,
    seconds,
    *[counts] * 4,
    usages,
    dollars,
    st.none() | replies,
    options,
    approved=names,
)
# JSON that resembles stored sessions.
words = st.sampled_from(["key", "usage", "reply", "role", "parts", "answers", "image", "result"])
nonsense = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=10,
)


@given(st.lists(messages, max_size=4).map(tuple))
def test_messages(sent):
    """Messages with any parts and any characters decode unchanged."""
    decoded = decode_messages(encode_messages(sent))
    assert decoded == sent
    assert hash(decoded) == hash(sent)


@given(heads)
def test_heads(head):
    """A head decodes unchanged, to the last digit of its times and costs."""
    decoded = decode_head(encode_head(head))
    assert decoded == head
    assert hash(decoded) == hash(head)


def test_head_without_options():
    """A head without options, from an older gateway, decodes with empty options."""
    written = json.loads(encode_head(SessionInfo(SessionKey("o", "s", "u"), 0.0, 0.0)))
    del written["options"]
    assert decode_head(json.dumps(written).encode()).options == Options()


@given(st.lists(messages, max_size=4))
def test_measure(sent):
    """The measured sizes of messages add up to the stored size, without the separators."""
    between = 2 * max(len(sent), 1)
    assert len(encode_messages(sent)) == sum(map(measure, sent)) + between


@given(st.binary(max_size=50) | nonsense.map(lambda value: json.dumps(value).encode()))
def test_nonsense(data):
    """Data of any other form raises Unreadable and nothing else."""
    for decode in (decode_head, decode_messages):
        try:
            decode(data)
        except Unreadable:
            continue


def test_unreadable():
    """An incomplete message or head raises Unreadable with the reason."""
    stored = dump_message(ChatMessage("user", ("Hi", Image("image/png", "AAAA"))))
    assert decode_messages(json.dumps([stored]).encode())
    stored["parts"][1] = {"picture": {}}
    with pytest.raises(Unreadable, match="picture"):
        decode_messages(json.dumps([stored]).encode())
    with pytest.raises(Unreadable, match="reply"):
        decode_head(b"{}")


def test_format():
    """The stored form of messages stays, so that the next release reads it."""
    message = ChatMessage(
        "assistant", ("Hi", ToolCall("c1", "f", "{}"), Image("image/png", "aGk="))
    )
    assert json.loads(encode_messages([message])) == [
        {
            "role": "assistant",
            "parts": [
                "Hi",
                {"call": {"id": "c1", "name": "f", "arguments": "{}"}},
                {"image": {"media_type": "image/png", "data": "aGk=", "url": ""}},
            ],
            "answers": "",
        }
    ]


def test_thinking_format():
    """Thinking is stored apart, so that an earlier release reads the message without it."""
    call = ToolCall("c1", "f", "{}")
    message = ChatMessage(
        "assistant", (Thinking("Hm", "s", "p"), "Hi", RedactedThinking("d"), call)
    )
    (stored,) = json.loads(encode_messages([message]))
    assert stored["thinking"] == [
        [0, {"thinking": {"text": "Hm", "signature": "s", "prefix": "p"}}],
        [2, {"redacted_thinking": {"data": "d", "prefix": ""}}],
    ]
    assert stored["parts"] == ["Hi", {"call": {"id": "c1", "name": "f", "arguments": "{}"}}]


def test_head_format():
    """The stored form of a session's head stays, so that the next release reads it."""
    usage = Usage(1, 2, 3, 4, 5)
    head = SessionInfo(
        SessionKey("alice", "s", "u" * 32),
        created=1.5,
        used=2.5,
        messages=2,
        size=30,
        turns=1,
        resumed=1,
        usage=usage,
        cost_usd=0.25,
        reply=Reply("digest", "k", "sonnet", Ending.DONE, usage, 0.25),
        options=Options(
            "sonnet", "plain", True, ("Read",), ("Bash",), "default", 3, False, ("docs",)
        ),
    )
    counts = b'{"input": 1, "cache_read": 2, "cache_creation": 3, "output": 4, "reasoning": 5}'
    assert encode_head(head) == (
        b'{"key": {"owner": "alice", "id": "s", "uid": "' + b"u" * 32 + b'"}, '
        b'"created": 1.5, "used": 2.5, "messages": 2, "size": 30, "turns": 1, "resumed": 1, '
        b'"usage": ' + counts + b', "cost_usd": 0.25, '
        b'"reply": {"asked": "digest", "attempt": "k", "model": "sonnet", "ending": "done", '
        b'"usage": ' + counts + b', "cost_usd": 0.25}, '
        b'"options": {"model": "sonnet", "profile": "plain", "appends_system": true, '
        b'"allowed_tools": ["Read"], "disallowed_tools": ["Bash"], "permission_mode": "default", '
        b'"max_turns": 3, "compacts": false, "mcp_servers": ["docs"]}}'
    )
