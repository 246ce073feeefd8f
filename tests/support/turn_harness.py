"""A gateway with a scripted engine, called through its turn service, without HTTP."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from wrapper import Gateway
from wrapper.routes.chat import complete, stream
from wrapper.services.messages.message import ChatMessage
from wrapper.services.principal import Caller
from wrapper.services.request import TurnRequest
from wrapper.services.turn import Turn
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine, Step, answer

WHOLE_AND_STREAMED = pytest.mark.parametrize("stream", [False, True])


def user(text):
    return ChatMessage("user", (text,))


class Answered(NamedTuple):
    """What a client gets: the text, the finish reason, and the notes for its headers."""

    text: str
    reason: str | None
    notes: dict[str, str]


class TurnHarness:
    """A gateway whose engine plays *script*, and one caller."""

    def __init__(self, script: Callable[[Turn], Any] | None = None, **settings: Any):
        self.script = script or (lambda turn: answer("Yes."))
        self.engine = ScriptedEngine(lambda turn: self.script(turn))
        self.gateway = Gateway(Settings(**settings), engine=self.engine)
        self.caller = Caller()

    def plays(self, *steps: Step):
        self.script = lambda turn: steps

    def request(self, *messages, stream=False, session_id="s", **fields):
        loaded = tuple(user(item) if isinstance(item, str) else item for item in messages)
        return TurnRequest(loaded, stream=stream, session_id=session_id, **fields)

    def say(self, *messages, caller=None, **fields):
        """Run a turn and return its answer. Raises the error that the client would get."""
        request = self.request(*messages, **fields)
        caller = caller or self.caller
        if request.stream:
            return read_stream(stream(self.gateway.chat_service, request, caller))
        completion = complete(self.gateway.chat_service, request, caller)
        (choice,) = completion.body["choices"]
        text = choice["message"]["content"] or ""
        return Answered(text, choice["finish_reason"], completion.notes)

    def begin(self, *messages, **fields):
        """Begin a stream, which the test must close."""
        return stream(self.gateway.chat_service, self.request(*messages, **fields), self.caller)

    def remembered(self, id_="s", owner="local"):
        """Return the parts of all messages in the session, or None if it does not exist."""
        session = self.gateway.stores.sessions._store.read(owner, id_)  # type: ignore[union-attr]
        return session and [part for message in session.messages for part in message.parts]

    def free(self):
        """Say whether no turn holds the session or any of the gateway's capacity."""
        self.gateway.limits.admission.admit(self.gateway.settings.max_concurrent_turns)()
        claim = self.gateway.stores.sessions._store.claim("local", "s", 0)  # type: ignore[union-attr]
        if claim:
            claim.release()
        return claim is not None and self.engine.running == 0


def read_stream(stream):
    try:
        chunks = [chunk for chunk in stream.chunks if chunk]
    finally:
        stream.close()
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    return Answered(text, choices[-1]["finish_reason"], stream.notes)
