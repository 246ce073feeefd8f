"""The frames of earlier messages: what Claude Code runs a turn for, and what it only appends."""

import pytest

from wrapper.services.claude.protocol.history import history
from wrapper.services.turn import Image, Message, ToolResult, Turn

USER = Message("user", ("Hi",))


def turn_of(*messages, profile="agent"):
    return Turn("sonnet", messages or (USER,), profile=profile)


def test_history():
    """Earlier messages are sent in their own roles, without a request to the model."""
    earlier = [Message("user", ("a",)), Message("assistant", ("b",)), Message("user", ("c",))]
    sent = list(history(turn_of(*earlier, Message("assistant", ("d",)), USER)))
    assert [answered for _, answered in sent] == [True, False, True, False]
    assert [frame["message"]["role"] for frame, _ in sent] == ["user", "assistant"] * 2
    assert [frame["message"]["content"][0]["text"] for frame, _ in sent] == list("abcd")
    for frame, answered in sent:
        assert frame.get("shouldQuery") is (False if answered else None)
        assert frame.get("client_composed") is (True if answered else None)
    ids = [frame["message"]["id"] for frame, answered in sent if not answered]
    assert len(set(ids)) == 2


def test_no_history():
    """The message that the turn answers is not part of the history."""
    assert list(history(turn_of())) == []


def test_history_that_is_known():
    """Messages that a process knows are not sent again."""
    earlier = [Message("user", ("a",)), Message("assistant", ("b",)), Message("user", ("c",))]
    messages = [*earlier, Message("assistant", ("d",))]
    turn = turn_of(*messages, USER)
    for known in range(len(messages) + 1):
        sent = [frame["message"]["content"][0]["text"] for frame, _ in history(turn, known)]
        assert sent == list("abcd")[known:]


def test_plain():
    """In the plain profile the conversation is in the body, and none on stdin."""
    assert list(history(turn_of(USER, Message("assistant", ("b",)), USER, profile="plain"))) == []


# What is sent quickly


def sent_quickly(*parts):
    """Return the frames of a message of the user that follows others, and its answers."""
    earlier = [USER, Message("assistant", ("b",)), Message("user", parts)]
    turn = turn_of(*earlier, Message("assistant", ("d",)), USER)
    return list(history(turn, local_commands=True))


def test_texts_as_local_commands():
    """All texts but the first are those of local commands, which no result answers."""
    (first, _), _, (text, answered), _ = sent_quickly("  /cost\n")
    assert first["type"] == "user"
    assert (text["local_command_source"], answered) == ("  /cost\n", False)


@pytest.mark.parametrize(
    "parts",
    [
        ("a", "b"),
        (" \n",),
        ("(no content)",),
        (Image("image/png", "AA=="),),
        (ToolResult("c", ("d",)),),
    ],
    ids=["two texts", "blank", "no content", "image", "result"],
)
def test_other_messages(parts):
    """Other messages, and texts that Claude Code would change, are sent as the user's."""
    _, _, (frame, answered), _ = sent_quickly(*parts)
    assert (frame["type"], frame["shouldQuery"], answered) == ("user", False, True)


def test_of_a_process_that_knows_some():
    """The first message that is sent has a place for a UUID, also where the process knows some."""
    turn = turn_of(*[USER, Message("assistant", ("b",))] * 3, USER)
    sent = [frame["type"] for frame, _ in history(turn, 2, local_commands=True)]
    assert sent == ["user", "assistant", "assistant", "assistant"]
