"""Omissions: the headers name everything in a message that the model does not get."""

import json

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.support.scripted_server import USER, ScriptedServer, error_of
from wrapper.schemas.chat.request import CHAT_REQUEST
from wrapper.services.claude.protocol.frames import extra_body
from wrapper.services.messages.message import ChatMessage
from wrapper.services.request import Grant
from wrapper.services.sessions.codec import decode_messages, encode_messages
from wrapper.services.turns.builder import build_turn

NAMED = "x-adapted-messages"
AUDIO = {"id": "audio_1", "data": "UklGRg==", "expires_at": 1}
SPOKEN = {**AUDIO, "transcript": "Spoken."}
USE = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "c", "content": "1"}
DOCUMENT = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a"}}


def assistant(**fields):
    return {"role": "assistant", "content": None, **fields}


def user(*parts):
    return {"role": "user", "content": list(parts)}


OMITTED = {
    "audio": ([USER, assistant(audio=AUDIO), USER], ["1.audio", "1.content"]),
    "audio and a text": ([USER, assistant(audio=AUDIO, content="a"), USER], ["1.audio"]),
    "audio with a transcript": ([USER, assistant(audio=SPOKEN), USER], ["1.audio"]),
    "the user's audio": ([{**USER, "audio": AUDIO}], ["0.audio"]),
    "an error's mark": (
        [USER, assistant(content=[USE]), user({**RESULT, "is_error": True})],
        ["2.content.0.is_error"],
    ),
    "what a document is": ([user({**DOCUMENT, "context": "x"})], ["0.content.0.context"]),
    "citations": (
        [user({**DOCUMENT, "citations": {"enabled": True}})],
        ["0.content.0.citations"],
    ),
}


@pytest.mark.parametrize("what", OMITTED)
def test_named(what):
    """Content without a form in the model's API is named by its path; STRICT_PARAMS refuses it."""
    messages, paths = OMITTED[what]
    response = ScriptedServer().ask(messages=messages)
    assert response.status_code == 200, response.text
    assert response.headers[NAMED].split(", ") == [f"messages.{path}" for path in paths]
    error = error_of(ScriptedServer(strict_params=True).ask(messages=messages), 400)
    assert error["param"] == f"messages.{paths[0]}"


@pytest.mark.parametrize(
    "messages",
    [
        [USER, assistant(content="a", audio=None), USER],
        [USER, assistant(content=[USE]), user({**RESULT, "is_error": False})],
        [user({**DOCUMENT, "context": None, "citations": {"enabled": False}})],
    ],
)
def test_nothing_omitted(messages):
    """Empty or disabled fields are accepted and not named, also under STRICT_PARAMS."""
    response = ScriptedServer(strict_params=True).ask(messages=messages)
    assert response.status_code == 200, response.text
    assert NAMED not in response.headers


def test_texts():
    """A transcript and a refusal become texts of the message."""
    server = ScriptedServer()
    refusal = assistant(content="Well: ", refusal="No.")
    server.ask(messages=[USER, assistant(audio=SPOKEN), USER, refusal, USER])
    spoken = [
        message.parts for message in server.engine.turns[0].messages if message.role == "assistant"
    ]
    assert spoken == [("Spoken.",), ("Well: ", "No.")]


def test_sessions():
    """An omission in a stored message is named session_id in later turns."""
    server = ScriptedServer()
    requests = [[USER, assistant(audio=SPOKEN), USER], [USER]]
    answers = [server.ask(messages=messages, session_id="s") for messages in requests]
    assert [answer.headers[NAMED] for answer in answers] == ["messages.1.audio", "session_id"]


def test_kept():
    """A session store keeps the omissions of its messages."""
    message = ChatMessage("assistant", ("a",), dropped=("audio",))
    (read,) = decode_messages(encode_messages([message]))
    assert read == message


BLANKS = st.sampled_from([None, "", " ", "\n"])
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}


@st.composite
def messages(draw, at):
    """Draw the message number *at*, in which every text is a unique word."""
    words = (f"w{at}x{number}" for number in range(100))
    role = draw(st.sampled_from(["user", "assistant", "tool"]))
    message = {"role": role}
    word = st.builds(lambda: next(words))
    content = draw(word | BLANKS if role != "user" else word | BLANKS.map(lambda text: text or ""))
    if role == "user" and draw(st.booleans()):
        source = {"type": "text", "media_type": "text/plain", "data": next(words)}
        content = [
            {"type": "tool_result", "tool_use_id": "c", "content": next(words)},
            {"type": "document", "source": source, "context": next(words)},
            {"type": "text", "text": content},
        ]
    message["content"] = content
    if role == "tool":
        message["tool_call_id"] = "c"
    if role == "assistant":
        message["refusal"] = draw(st.none() | word)
        message["audio"] = draw(st.none() | st.builds(lambda: {"transcript": next(words)}))
        names = (f'{{"{next(words)}": 1, "a": 1, "a": {next(words)[1:]!r}}}', f"{{{next(words)}")
        texts = st.lists(st.sampled_from(names), max_size=2, unique=True)
        message["tool_calls"] = [
            {**CALL, "function": {"name": next(words), "arguments": text}} for text in draw(texts)
        ]
    return message


def leaves(value, path):
    """Yield the words in *value* with their paths."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in inner:
        if isinstance(item, dict | list):
            yield from leaves(item, f"{path}.{key}")
        elif isinstance(item, str) and item.startswith("w"):
            yield f"{path}.{key}", item


@hypothesis_settings(max_examples=150)
@given(st.data(), st.integers(1, 6))
def test_every_omission(data, number):
    """Each word reaches the model or is named, and each message without content is named."""
    sent = [data.draw(messages(at)) for at in range(number)]
    request = CHAT_REQUEST.load({"messages": sent})
    turn = build_turn(request, model="m", grant=Grant("plain"))
    arrived, named = json.dumps(extra_body(turn)), turn.adapted
    for path, word in leaves(sent, "messages"):
        assert word in arrived or any(path.startswith(name) for name in named), path
    for at, message in enumerate(request.messages):
        text = "".join(part if isinstance(part, str) else "part" for part in message.parts)
        blank = not text.strip() and (message.role != "tool" or text)
        assert not blank or any(path.startswith(f"messages.{at}.") for path in named)
