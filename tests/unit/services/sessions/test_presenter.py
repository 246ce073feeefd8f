"""A session's messages in OpenAI's form, which a client can send back."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrapper.schemas.chat.message import ROLES, MessageSchema
from wrapper.services.messages.message import ChatMessage
from wrapper.services.sessions.presenter import transcribe
from wrapper.services.turn import (
    Document,
    Image,
    RedactedThinking,
    Thinking,
    ToolCall,
    ToolResult,
)

PNG = Image("image/png", "QUJD")
LINK = Image(url="https://x.test/a.png?b=c")
PDF = Document("application/pdf", base64.b64encode(b"%PDF-1.4").decode(), "a.pdf")
NOTES = Document("text/plain", "Grüße,\r\n100 % & more;\tend", "n.txt")
CALL, OTHER, LEGACY = (
    ToolCall("c1", "f", '{"a": 1}'),
    ToolCall("c2", "g", "{}"),
    ToolCall("", "g", "{}"),
)


def again(message):
    """Return the message that the gateway loads when a client sends the transcript of *message*."""
    return MessageSchema().load(json.loads(json.dumps(transcribe(message))))


def called(call):
    return {"name": call.name, "arguments": call.arguments}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (ChatMessage("user", ("Hi",)), {"role": "user", "content": "Hi"}),
        (ChatMessage("developer", ("Be brief.",)), {"role": "developer", "content": "Be brief."}),
        (ChatMessage("assistant", ("",)), {"role": "assistant", "content": ""}),
        (ChatMessage("user", ()), {"role": "user", "content": []}),
        (
            ChatMessage("user", ("a", "b")),
            {"role": "user", "content": [{"type": "text", "text": t} for t in "ab"]},
        ),
        (
            ChatMessage("tool", ("1",), "c1"),
            {"role": "tool", "content": "1", "tool_call_id": "c1"},
        ),
        (
            ChatMessage("function", ("1",), "g"),
            {"role": "function", "content": "1", "name": "g"},
        ),
        (
            ChatMessage("assistant", (LEGACY,)),
            {"role": "assistant", "content": None, "function_call": called(LEGACY)},
        ),
        (
            ChatMessage("assistant", (Thinking("Hm", "s"), LEGACY)),
            {"role": "assistant", "content": None, "function_call": called(LEGACY)},
        ),
        (
            ChatMessage("assistant", ("We", RedactedThinking("d"), "ll.", LEGACY)),
            {"role": "assistant", "content": "Well.", "function_call": called(LEGACY)},
        ),
        (
            ChatMessage("assistant", ("Well.", CALL, OTHER)),
            {
                "role": "assistant",
                "content": "Well.",
                "tool_calls": [
                    {"id": call.id, "type": "function", "function": called(call)}
                    for call in (CALL, OTHER)
                ],
            },
        ),
    ],
)
def test_messages(message, expected):
    """A message gets OpenAI's simplest form that holds all of it."""
    assert transcribe(message) == expected


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (PNG, {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}),
        (LINK, {"type": "image_url", "image_url": {"url": LINK.url}}),
        (
            PDF,
            {
                "type": "file",
                "file": {
                    "filename": "a.pdf",
                    "file_data": f"data:application/pdf;base64,{PDF.data}",
                },
            },
        ),
    ],
)
def test_parts(part, expected):
    """Images and files become parts with all their data."""
    assert transcribe(ChatMessage("user", (part,)))["content"] == [expected]


@pytest.mark.parametrize(
    "message",
    [
        ChatMessage("user", ("What is this?", PNG, LINK, PDF, NOTES)),
        ChatMessage("assistant", (CALL, LEGACY)),
        ChatMessage("tool", ("1", PNG), "c1"),
    ],
)
def test_round_trip(message):
    """A transcript that is sent back loads as the original message."""
    assert again(message) == message


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAME = st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True)
VALUES: st.SearchStrategy[Any] = st.dictionaries(
    TEXT, st.none() | st.booleans() | st.integers() | TEXT, max_size=3
)
CALLS = st.builds(ToolCall, TEXT.filter(bool), NAME, VALUES.map(json.dumps))
LEGACY_CALLS = st.builds(ToolCall, st.just(""), NAME, VALUES.map(json.dumps))
GIFS = st.binary(max_size=30).map(lambda data: base64.b64encode(b"GIF89a" + data).decode())
IMAGES = st.builds(Image, st.just("image/gif"), GIFS) | st.just(LINK)
PDFS = st.binary(max_size=30).map(lambda data: base64.b64encode(b"%PDF-" + data).decode())
DOCUMENTS = st.builds(Document, st.just("application/pdf"), PDFS, TEXT) | st.builds(
    Document, st.just("text/plain"), TEXT.filter(str.strip), TEXT
)


RESULTS = st.builds(ToolResult, TEXT.filter(bool), st.lists(TEXT | IMAGES, max_size=3).map(tuple))


def _parts(role):
    kinds = {"text": TEXT, "image_url": IMAGES, "file": DOCUMENTS, "refusal": TEXT}
    kinds |= {
        "document": DOCUMENTS,
        "image": IMAGES,
        "tool_result": RESULTS,
        "tool_use": TEXT,
    }  # calls come after these
    return st.lists(st.one_of(*(kinds[kind] for kind in ROLES[role])), max_size=4)


@st.composite
def messages(draw):
    role = draw(st.sampled_from(list(ROLES)))
    parts = draw(_parts(role))
    if role == "assistant":
        parts += draw(st.lists(CALLS, max_size=3)) + draw(st.lists(LEGACY_CALLS, max_size=1))
    answers = draw(TEXT.filter(bool)) if role in ("tool", "function") else ""
    return ChatMessage(role, tuple(parts), answers)


@given(messages())
def test_any_round_trip(message):
    """Any message that is sent back loads as the original message."""
    assert again(message) == message
