"""The conversation: a chat request's messages and parameters made into a turn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrapper.errors import InvalidRequest
from wrapper.services.messages.message import ChatMessage
from wrapper.services.principal import Principal
from wrapper.services.request import Grant, TurnRequest
from wrapper.services.turn import Message, Permissions, Sampling
from wrapper.services.turns.builder import build_turn


def turn_of(*said, strict=False, **parameters):
    messages = tuple(ChatMessage(role, tuple(texts)) for role, *texts in said)
    request = TurnRequest(messages, **parameters)
    return build_turn(request, model="sonnet", grant=Grant("agent"), strict=strict)


def refusal_of(*said, **parameters):
    with pytest.raises(InvalidRequest) as caught:
        turn_of(*said, strict=True, **parameters)
    assert caught.value.status == 400
    return caught.value


def test_simple_question():
    """One question becomes a turn of one message, with the defaults."""
    turn = turn_of(("user", "Hi"))
    assert turn.messages == (Message("user", ("Hi",)),)
    assert (turn.model, turn.profile, turn.system) == ("sonnet", "agent", None)
    assert turn.sampling == Sampling()


def test_granted():
    """The turn gets what was granted, to whom it was granted."""
    grant, principal = Grant("plain", Permissions(deny=("Bash",))), Principal("alice")
    request = TurnRequest((ChatMessage("user", ("Hi",)),), profile="agent")
    turn = build_turn(request, model="sonnet", grant=grant, principal=principal)
    assert (turn.profile, turn.permissions) == ("plain", grant.permissions)
    assert turn.principal is principal


def test_true_roles():
    """Who said what is kept, in order."""
    turn = turn_of(("user", "a"), ("assistant", "b"), ("user", "c"))
    assert turn.messages == (
        Message("user", ("a",)),
        Message("assistant", ("b",)),
        Message("user", ("c",)),
    )


@pytest.mark.parametrize(
    ("said", "messages"),
    [
        (
            [("user", "a"), ("user", "b")],
            [Message("user", ("a", "b"))],
        ),
        (
            [("user", "a"), ("system", "s"), ("user", "b", "c")],
            [Message("user", ("a", "b", "c"))],
        ),
        (
            [("user", "a"), ("assistant", "b"), ("assistant", "c"), ("user", "d")],
            [Message("user", ("a",)), Message("assistant", ("b", "c")), Message("user", ("d",))],
        ),
        (
            [("user", "a"), ("assistant", ""), ("user", "b")],
            [Message("user", ("a", "b"))],
        ),
        (
            [("user", "a"), ("assistant", " \n", ""), ("user", "b")],
            [Message("user", ("a", "b"))],
        ),
        (
            [("user", "  "), ("user", "b")],
            [Message("user", ("b",))],
        ),
    ],
)
def test_merging(said, messages):
    """Messages of one role in a row become one message; blank ones say nothing."""
    assert list(turn_of(*said).messages) == messages


@pytest.mark.parametrize(
    ("parts", "texts"),
    [
        (("a", "b"), ("a", "b")),
        (("a", "\n\n", "b"), ("a\n\n", "b")),
        (("", "a"), ("a",)),
        (("\n", " ", "a", ""), ("\n a",)),
        (("a", " "), ("a ",)),
        (("  a  ",), ("  a  ",)),
        (("/cost",), ("/cost",)),
        (("@/etc/passwd",), ("@/etc/passwd",)),
    ],
)
def test_parts(parts, texts):
    """Blank parts are joined to a neighbour; all else is left as it was written."""
    assert turn_of(("user", *parts)).messages == (Message("user", texts),)


@pytest.mark.parametrize(
    ("said", "system"),
    [
        ([("system", "a")], "a"),
        ([("developer", "a")], "a"),
        ([("system", "a", "b")], "ab"),
        ([("system", "a"), ("developer", "b")], "a\n\nb"),
        ([("system", "a"), ("system", " "), ("system", "b")], "a\n\nb"),
        ([("system", "")], ""),
        ([("system", " \n")], ""),
        ([], None),
    ],
)
def test_system(said, system):
    """System texts are joined in order; a blank one still takes the place of the default."""
    assert turn_of(*said, ("user", "Hi")).system == system


def test_system_in_mid_conversation():
    """A system message in mid-conversation is not lost."""
    turn = turn_of(("system", "a"), ("user", "x"), ("system", "b"), ("user", "y"))
    assert turn.system == "a\n\nb"


@pytest.mark.parametrize(
    ("said", "param"),
    [
        ([("system", "s")], "messages.0.role"),
        ([("assistant", "a"), ("user", "b")], "messages.0.role"),
        ([("system", "s"), ("assistant", "a"), ("user", "b")], "messages.1.role"),
        ([("user", "a"), ("assistant", "b")], "messages.1.role"),
        ([("user", "a"), ("assistant", "b"), ("system", "s")], "messages.2.role"),
        ([("user", "")], "messages.0.content"),
        ([("user",)], "messages.0.content"),
        ([("user", " ", "\n\t")], "messages.0.content"),
        ([("user", "a"), ("user", " ")], "messages.1.content"),
    ],
)
def test_refused_conversations(said, param):
    """Under STRICT_PARAMS what the model's API would refuse is refused, by the message at fault."""
    error = refusal_of(*said)
    assert error.param == param
    assert param in error.message


def test_blank_first_message():
    """A conversation with only a blank message before the assistant's is refused."""
    error = refusal_of(("user", " "), ("assistant", "Hello"), ("user", "Hi"))
    assert error.param in ("messages.0.content", "messages.1.role")


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, Sampling()),
        ({"temperature": 0.0}, Sampling(temperature=0.0)),
        ({"temperature": 0.5}, Sampling(temperature=0.5)),
        ({"temperature": 1.0}, Sampling()),
        ({"temperature": 1.7}, Sampling()),
        ({"top_p": 0.0}, Sampling(top_p=0.0)),
        ({"top_p": 1.0}, Sampling()),
        ({"max_tokens": 7}, Sampling(max_tokens=7)),
        ({"stop": ("a", " ")}, Sampling(stop=("a", " "))),
        ({"effort": "high"}, Sampling(effort="high")),
        ({"effort": "high", "temperature": 1.0}, Sampling(effort="high")),
        ({"effort": "none", "temperature": 0.2}, Sampling(temperature=0.2, effort="none")),
    ],
)
def test_sampling(given, sent):
    """Sampling is passed on, less what says no more than the model's own default."""
    assert turn_of(("user", "Hi"), **given).sampling == sent


BLANKS = st.text(st.sampled_from(" \n\t"), max_size=3)
TEXTS = st.lists(st.text(st.sampled_from("ab \n\t"), max_size=5), max_size=4)
LETTERS = st.tuples(BLANKS, st.text("ab", min_size=1), BLANKS).map(list)
QUESTIONS = st.tuples(st.just("user"), LETTERS)
ANYTHING = st.tuples(st.sampled_from(["system", "developer", "user", "assistant"]), TEXTS)
CONVERSATIONS = st.tuples(QUESTIONS, st.lists(ANYTHING, max_size=5), QUESTIONS).map(
    lambda parts: [parts[0], *parts[1], parts[2]]
)


@given(CONVERSATIONS)
def test_no_letter_is_lost(said):
    """Every letter of a user's message that is not blank reaches the model, in order."""
    turn = turn_of(*((role, *texts) for role, texts in said))
    heard = "".join("".join(m.parts) for m in turn.messages if m.role == "user")
    wrote = ["".join(texts) for role, texts in said if role == "user"]
    assert heard == "".join(text for text in wrote if text.strip())


@given(CONVERSATIONS)
def test_turns_are_well_formed(said):
    """Whatever is sent, roles alternate, no text is blank, and the user speaks first and last."""
    messages = turn_of(*((role, *texts) for role, texts in said)).messages
    assert [m.role for m in messages] == [
        ("user", "assistant")[i % 2] for i in range(len(messages))
    ]
    assert messages[-1].role == "user"
    assert all(text.strip() for message in messages for text in message.parts)
    assert all(message.parts for message in messages)
