"""Sessions in any order: whatever happens, each remembers what a plain model says it must.

Turns run on an engine that parks, and that answers with what its process knows: an answer is right
only where process and session know the same, be the process an old one or a new one.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from wrapper import Gateway
from wrapper.errors import ApiError, Conflict, Overloaded, SessionNotFound
from wrapper.routes.chat import stream
from wrapper.routes.sse import Stream
from wrapper.services.claude.processes.parking import (
    ParkedProcess,
    Parking,
    ParkingLimits,
    fingerprint,
)
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.state import ProcessState
from wrapper.services.events import Ended, Ending, Started, TextDelta
from wrapper.services.messages.message import ChatMessage
from wrapper.services.principal import Caller, Principal
from wrapper.services.request import TurnRequest
from wrapper.services.sessions.memory_store import MemorySessionStore
from wrapper.services.spent import Usage
from wrapper.services.turn import Message, Turn
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine

TTL, MOST, PARKED = 10.0, 3, 2
OWNERS = {name: Principal(name) for name in ("alice", "bob")}
IDS = ("s", "t")
Key = tuple[str, str]
Dialogue = tuple[tuple[str, str], ...]

KEYS = st.tuples(st.sampled_from(list(OWNERS)), st.sampled_from(IDS))
# Few, so that messages often repeat.
TEXTS = st.sampled_from(["a", "b"])
SYSTEMS = st.sampled_from([None, None, None, "Be brief.", "Be long."])
ATTEMPTS = st.sampled_from(["", "", "k", "l"])
FATES = st.sampled_from(["done", "done", "done", "refused", "fails", "breaks"])


def recall(system: str | None, texts: list[str]) -> str:
    """Return the answer of a model that got just these messages."""
    return hashlib.sha256(repr((system, texts)).encode()).hexdigest()[:12]


class Mind:
    """A process, with its first message and all messages since."""

    pid = 0

    def __init__(self, turn: Turn):
        self.system = turn.system
        self.texts: list[str] = []
        self.spoke = False

    def alive_and_silent(self) -> bool:
        return not self.spoke

    def exit_code(self) -> int | None:
        return None

    def speak(self) -> None:
        self.spoke = True
        self.texts.append("what nobody asked for")

    def hear(self, messages: tuple[Message, ...]) -> str:
        """Take *messages* and return the answer."""
        self.texts += [str(part) for message in messages for part in message.parts]
        answer = recall(self.system, self.texts)
        self.texts.append(answer)
        return answer


class Engine(ScriptedEngine):
    """Runs each turn as `fate` says. Only parking decides which process goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.fate = "done"
        self.parking = Parking(
            ParkingLimits(PARKED, idle=1000.0, max_rss=1),
            discard=lambda process: None,
            resident=lambda pid: 0,
            scarce=lambda: False,
        )

    async def run(self, turn: Turn, leaving: Any) -> Any:
        fate = self.fate
        if fate == "fails":
            raise Overloaded("Busy.")
        parked = self.parking.take(turn, None)
        mind = cast(Mind, parked.process) if parked else Mind(turn)
        answer = mind.hear(turn.messages[len(parked.state.known) if parked else 0 :])
        yield Started("m", resumed=bool(parked))
        yield TextDelta(answer[:5])
        if fate == "breaks":
            raise Overloaded("Busy.")
        yield TextDelta(answer[5:])
        yield Ended(Ending.REFUSED if fate == "refused" else Ending.DONE, Usage(1, 0, 0, 1), 0.5)
        if fate == "done" and turn.session:
            state = ProcessState((*turn.messages, Message("assistant", (answer,))))
            process, kept = cast(Process, mind), fingerprint(turn, None)
            self.parking.park(ParkedProcess(turn.session, process, kept, state), PARKED)

    def parked(self) -> Any:
        return self.parking.sessions()

    def forget(self, session: Any) -> None:
        self.parking.forget(session)


@dataclass(frozen=True)
class Asked:
    """A turn as its client requests it."""

    text: str
    system: str | None
    attempt: str
    again: bool

    @property
    def dialogue(self) -> Dialogue:
        system = (("system", self.system),) if self.system else ()
        return (*system, ("user", self.text))

    def request(self, id_: str) -> TurnRequest:
        messages = tuple(ChatMessage(role, (text,)) for role, text in self.dialogue)
        return TurnRequest(messages, session_id=id_, stream=True)


@dataclass
class Kept:
    """What a session must remember. `reply` is the last turn: what was asked, by which name, and
    what was answered."""

    dialogue: Dialogue = ()
    turns: int = 0
    reply: tuple[Dialogue, str, str] | None = None

    def repeats(self, asked: Asked) -> bool:
        same = self.reply is not None and self.reply[:2] == (asked.dialogue, asked.attempt)
        return same and (asked.again or bool(asked.attempt))

    def answer(self, asked: Asked) -> str:
        if self.reply and self.repeats(asked):
            return self.reply[2]
        dialogue = self.with_(asked)
        systems = [text for role, text in dialogue if role == "system"]
        return recall(
            systems[0] if systems else None, [t for role, t in dialogue if role != "system"]
        )

    def with_(self, asked: Asked) -> Dialogue:
        before = self.dialogue
        if asked.system:
            before = tuple(entry for entry in before if entry[0] != "system")
        return (*before, *asked.dialogue)

    def after(self, asked: Asked) -> Kept:
        answer = self.answer(asked)
        reply = (asked.dialogue, asked.attempt, answer)
        return Kept((*self.with_(asked), ("assistant", answer)), self.turns + 1, reply)

    def begun(self, asked: Asked) -> Kept:
        """Return the session once a turn has begun; an equal request is then no repeat."""
        same = self.reply and self.reply[:2] == (asked.dialogue, asked.attempt)
        forgets = same and not self.repeats(asked)
        return Kept(self.dialogue, self.turns, None if forgets else self.reply)


@dataclass
class Open:
    """A stream that is not finished. `kept` is None while there is no session."""

    key: Key
    asked: Asked
    fate: str
    stream: Stream
    kept: Kept | None
    deleted: bool = False

    @property
    def before(self) -> Kept:
        return self.kept or Kept()

    def read(self, chunks: int | None = None) -> tuple[str, str | None]:
        """Read some chunks or all; return the text, and the ending if there is one."""
        text, reason = "", None
        for count, chunk in enumerate(self.stream.chunks, 1):
            for choice in chunk["choices"] if chunk else ():
                text += choice["delta"].get("content") or ""
                reason = choice["finish_reason"]
            if reason or count == chunks:
                break
        return text, reason


@dataclass
class Model:
    """The sessions: those in use, and the others with the last used at the end."""

    now: float = 0.0
    idle: OrderedDict[Key, tuple[Kept, float]] = field(default_factory=OrderedDict)
    used: dict[Key, Open] = field(default_factory=dict)

    def expire(self) -> None:
        for key in [key for key, (_, used) in self.idle.items() if self.now >= used + TTL]:
            del self.idle[key]

    def claim(self, key: Key) -> Kept | None:
        kept, _ = self.idle.pop(key, (None, 0.0))
        return kept

    def release(self, opened: Open, kept: Kept | None) -> None:
        if opened.deleted:
            return
        del self.used[opened.key]
        if kept:
            while len(self.idle) >= MOST:
                self.idle.popitem(last=False)
            self.idle[opened.key] = (kept, self.now)

    def all(self) -> dict[Key, Kept]:
        idle = {key: kept for key, (kept, _) in self.idle.items()}
        return idle | {key: opened.kept for key, opened in self.used.items() if opened.kept}


class Sessions(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.open: list[Open] = []
        self.engine = Engine()
        self.store = MemorySessionStore(
            ttl=TTL, count=MOST, size=10**7, timer=lambda: self.model.now, clock=lambda: 0.0
        )
        self.gateway = Gateway(
            Settings(session_wait=0),
            engine=self.engine,
            sessions=self.store,
        )
        assert self.gateway.stores.sessions
        self.service = self.gateway.stores.sessions
        self.service._sweeper.close()  # a rule does its work

    def teardown(self) -> None:
        for opened in self.open:
            opened.stream.close()
        self.gateway.close()

    # Events

    @rule(
        key=KEYS,
        asked=st.builds(Asked, TEXTS, SYSTEMS, ATTEMPTS, st.booleans()),
        fate=FATES,
        chunks=st.sampled_from([None, None, None, 0, 1, 2]),
    )
    def turn(self, key: Key, asked: Asked, fate: str, chunks: int | None) -> None:
        """A turn runs to its end, or until its client leaves."""
        if opened := self._begin(key, asked, fate):
            self._end(opened, chunks)

    @rule(key=KEYS, turns=st.lists(st.tuples(TEXTS, SYSTEMS), min_size=2, max_size=4))
    def talk(self, key: Key, turns: list[tuple[str, str | None]]) -> None:
        """Several turns run one after the other."""
        for text, system in turns:
            if opened := self._begin(key, Asked(text, system, "", False), "done"):
                self._end(opened, None)

    @rule(key=KEYS, asked=st.builds(Asked, TEXTS, SYSTEMS, ATTEMPTS, st.booleans()), fate=FATES)
    @precondition(lambda self: len(self.open) < 3)
    def begin(self, key: Key, asked: Asked, fate: str) -> None:
        """A turn begins, and goes on while other things happen."""
        if opened := self._begin(key, asked, fate):
            self.open.append(opened)

    @rule(data=st.data(), chunks=st.sampled_from([None, None, 0, 1, 2]))
    @precondition(lambda self: self.open)
    def end(self, data: st.DataObject, chunks: int | None) -> None:
        """A turn that has begun ends, or its client leaves."""
        opened = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        self._end(opened, chunks)

    @rule(key=KEYS)
    def delete(self, key: Key) -> None:
        """A session is deleted, whether its turn runs or not."""
        known = self.store.read(*key)
        if key not in self.model.all():
            with pytest.raises(SessionNotFound):
                self.service.delete(OWNERS[key[0]], key[1])
            return
        self.service.delete(OWNERS[key[0]], key[1])
        assert known
        assert known.head.key not in self.engine.parked()
        self.model.idle.pop(key, None)
        if opened := self.model.used.pop(key, None):
            opened.deleted = True

    @rule(seconds=st.sampled_from([1.0, 4.0, TTL]))
    def pass_time(self, seconds: float) -> None:
        self.model.now += seconds
        self.model.expire()

    @rule(data=st.data(), way=st.sampled_from(["speaks", "goes"]))
    @precondition(lambda self: self.engine.parked())
    def lose(self, data: st.DataObject, way: str) -> None:
        """A parked process writes output or ends."""
        parked = self.engine.parked()
        key = parked[data.draw(st.integers(0, len(parked) - 1))]
        if way == "goes":
            self.engine.parking.forget(key)
        else:
            cast(Mind, self.engine.parking._parked[key].process).speak()

    @rule()
    def sweep(self) -> None:
        """A sweep drops the processes of deleted sessions that have no running turn."""
        self.service.sweep()
        uids = {head.key for owner in OWNERS.values() for head in self.service.heads(owner)}
        assert set(self.engine.parked()) <= uids | self.service._active

    # Invariants

    @invariant()
    def remembered(self) -> None:
        """The sessions and their messages are those of the model."""
        expected = self.model.all()
        for owner, principal in OWNERS.items():
            heads = self.service.heads(principal)
            assert {head.key.id for head in heads} == {id_ for own, id_ in expected if own == owner}
            for head in heads:
                self._check(owner, head.key.id, expected[owner, head.key.id])

    @invariant()
    def bounded(self) -> None:
        assert len(self.engine.parked()) <= PARKED
        assert len(self.model.idle) <= MOST

    def _check(self, owner: str, id_: str, kept: Kept) -> None:
        session = self.service.read(OWNERS[owner], id_)
        assert (
            tuple((message.role, *message.parts) for message in session.messages) == kept.dialogue
        )
        assert session.head.turns == kept.turns
        assert session.head.messages == len(kept.dialogue)

    def _begin(self, key: Key, asked: Asked, fate: str) -> Open | None:
        """Return the turn that began, or None where it could not begin."""
        owner, id_ = key
        self.engine.fate = fate
        caller = Caller(OWNERS[owner], attempt=asked.attempt, again=asked.again)

        def ask() -> Stream:
            return stream(self.gateway.chat_service, asked.request(id_), caller)

        if key in self.model.used:
            _expect(Conflict, ask)
            return None
        kept = self.model.claim(key)
        repeats = bool(kept and kept.repeats(asked))
        begun = kept.begun(asked) if kept else None
        opened = Open(key, asked, "done" if repeats else fate, cast(Stream, None), begun)
        self.model.used[key] = opened
        if opened.fate == "fails":
            _expect(Overloaded, ask)
            self.model.release(opened, begun)
            return None
        opened.stream = ask()
        assert opened.stream.notes.get("idempotent-replayed") == ("true" if repeats else None)
        return opened

    def _end(self, opened: Open, chunks: int | None) -> None:
        kept, answer = opened.kept, opened.before.answer(opened.asked)
        repeats = opened.before.repeats(opened.asked)
        fails = opened.fate == "breaks" or (
            opened.deleted and opened.fate == "done" and not repeats
        )
        try:
            if chunks is None and fails:
                _expect(Overloaded if opened.fate == "breaks" else Conflict, opened.read)
            elif chunks != 0:
                text, reason = opened.read(chunks)
                assert answer.startswith(text)
                assert reason is None or text == answer
                if reason == "stop" and not repeats:
                    kept = opened.before.after(opened.asked)
        finally:
            opened.stream.close()
        self.model.release(opened, kept)


def _expect(kind: type[ApiError], call: Callable[[], Any]) -> None:
    with pytest.raises(kind):
        call()


Sessions.TestCase.settings = hypothesis_settings(max_examples=40, stateful_step_count=30)
# It is quick where it passes; shrinking a failure takes a while.
TestSessions = pytest.mark.timeout(300)(Sessions.TestCase)
