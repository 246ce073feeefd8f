"""The memory that sessions with short messages take, measured in a new process."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

from wrapper.services.events import Ended, Ending, Started, TextDelta
from wrapper.services.messages.answer import Answer
from wrapper.services.messages.message import ChatMessage
from wrapper.services.sessions.memory_store import MemorySessionStore
from wrapper.services.sessions.session import new_session
from wrapper.services.sessions.session_turn import SessionTurn
from wrapper.services.spent import Usage
from wrapper.settings import Settings

SESSIONS = 1000
TURNS = 5


def sessions_bytes() -> int:
    """Return how many bytes a process grows by with SESSIONS sessions of TURNS turns."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return int(pool.apply(_fill))


def _fill() -> int:
    settings = Settings()
    store = MemorySessionStore(
        ttl=settings.session_ttl, count=settings.max_sessions, size=settings.sessions_max_bytes
    )
    before = _resident()
    for number in range(SESSIONS):
        for turn in range(TURNS):
            _remember(store, f"session-{number}", turn)
    return _resident() - before


def _remember(store: MemorySessionStore, id_: str, turn: int) -> None:
    claim = store.claim("local", id_, 0)
    if claim is None:
        raise RuntimeError(f"{id_} is in use")
    session = claim.session or new_session("local", id_, 0.0)
    messages = [ChatMessage("user", (f"Question {turn} of {id_}, in some words.",))]
    session_turn = SessionTurn(claim, session, messages, clock=lambda: 0.0)
    answer = Answer()
    for event in (
        Started("model"),
        TextDelta(f"Answer {turn} to {id_}, in some more words than that."),
        Ended(Ending.DONE, Usage(input=10, output=10), 0.001),
    ):
        answer.add(event)
    session_turn.remember(answer)
    session_turn.close()


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
