"""The contract of session stores: what must hold of whatever keeps sessions."""

# ruff: noqa: S101 - whoever runs a check wants its assertions

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace

from wrapper.services.messages.message import ChatMessage
from wrapper.services.sessions.store import SessionStore
from wrapper.services.turn import Image
from wrapper.testing.trial import CREATED, IDS, MESSAGES, Trial, build_session

# Seconds that sessions live, in what is no matter of time and in what is.
LONG = 3600.0
SHORT = 2.0


def check_session_store(
    make: Callable[[float], SessionStore], advance: Callable[[float], object] | None = None
) -> None:
    """Raise AssertionError where what *make* makes is no SessionStore, of which see there.

    `make(ttl)` opens a store whose sessions live *ttl* seconds from their last use. Others may have
    sessions in it, which are left alone. `advance(seconds)` lets that much time pass for the store;
    without it, it passes, and the check takes some ten seconds.
    """
    for ttl, checks in ((LONG, CHECKS), (SHORT, TIMED)):
        for check in checks:
            store = make(ttl)
            try:
                check(Trial(store, advance or threading.Event().wait))
            finally:
                store.close()


def _check_nothing(trial: Trial) -> None:
    trial.check_gone()
    trial.check_gone()
    assert trial.store.health()["status"] == "ok", "a store that works must say so"


def _check_kept(trial: Trial) -> None:
    claim = trial.claim()
    session = build_session(trial.owner)
    claim.save(session)
    assert trial.found() == session, "what is saved must be read as it was, also during the turn"
    more = replace(session, messages=MESSAGES * 2)
    claim.save(more)
    assert claim.session == more, "a claim must know what was saved last"
    claim.release()
    claim.release()
    trial.check_same(trial.found(), more)
    later = trial.claim()
    assert later.session, "the next turn must find what the last one saved"
    trial.check_same(later.session, more)
    claim.release()
    assert trial.store.claim(trial.owner, "one", 0) is None, "only its holder releases a claim"
    assert trial.check_refused(claim, session).retry is False, "trying again cannot help"
    later.release()
    trial.check_same(trial.found(), more)


def _check_unchanged(trial: Trial) -> None:
    session = trial.keep()
    trial.use()  # by a turn that fails
    trial.check_same(trial.found(), session)
    first, second = trial.store.heads(trial.owner), trial.store.heads(trial.owner)
    if isinstance(first, list):
        first.clear()
    assert list(second) == list(trial.store.heads(trial.owner)), "a list must be its caller's own"


def _check_exclusive(trial: Trial) -> None:
    session = trial.keep()
    claim = trial.claim()
    for seconds in (0, 0.05):
        again = trial.store.claim(trial.owner, "one", seconds)
        assert again is None, "while a turn runs nobody else may claim its session"
    trial.use("other")
    assert trial.found(), "while a turn runs its session can be read"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(trial.store.claim, trial.owner, "one", 30)
        wait([waiting], 0.2)
        assert not waiting.done(), "a claim must wait for as long as it is told to"
        claim.release()
        given = waiting.result(30)
    assert given, "a claim that waits must be given when the other one is released"
    assert given.session, "a claim that waited must know its session"
    trial.check_same(given.session, session)
    given.release()


def _check_threads(trial: Trial) -> None:
    trial.keep()

    def take_turns() -> None:
        for _ in range(10):
            claim = trial.store.claim(trial.owner, "one", 60)
            assert claim, "a claim must be given in time"
            assert claim.session, "a claim must know its session"
            claim.save(replace(claim.session, messages=(*claim.session.messages, MESSAGES[0])))
            claim.release()

    with ThreadPoolExecutor(8) as pool:
        for turns in [pool.submit(take_turns) for _ in range(8)]:
            turns.result(60)
    count = len(trial.found().messages) - len(MESSAGES)
    assert count == 80, f"of 80 turns of one session in 8 threads {count} were remembered"


def _check_deleted(trial: Trial) -> None:
    session = trial.keep()
    trial.check_head(trial.store.delete(trial.owner, "one"), session)
    trial.check_gone()
    late = trial.claim()
    late.save(session)
    trial.check_head(trial.store.delete(trial.owner, "one"), session)
    assert trial.store.read(trial.owner, "one") is None, "what is gone must not be read"
    following = trial.claim()
    assert following.session is None, "what was deleted during a turn is gone at once"
    error = trial.check_refused(late, session)
    assert error.code == "session_deleted", "a turn must be told that its session was deleted"
    late.release()
    assert trial.store.claim(trial.owner, "one", 0) is None, "only its holder releases a claim"
    new = build_session(trial.owner)
    following.save(new)
    trial.check_refused(late, session)
    following.release()
    trial.check_same(trial.found(), new)


def _check_owners(trial: Trial) -> None:
    other = f"{trial.owner}:one"
    kept = trial.keep("one:two"), trial.keep("two", owner=other), trial.keep("two")
    claim = trial.claim("two")
    trial.claim("two", other).release()
    claim.release()
    assert trial.store.delete(other, "one:two") is None, "another's session is not there"
    trial.check_head(trial.store.delete(other, "two"), kept[1])
    assert list(trial.store.heads(other)) == [], "another's session is in no list"
    assert len(trial.store.heads(trial.owner)) == 2, "one's own sessions must stay"
    trial.check_same(trial.found("two"), kept[2])


def _check_ids(trial: Trial) -> None:
    for id_ in IDS:
        trial.keep(id_)
    for id_ in IDS:
        assert trial.found(id_).head.key.id == id_, f"{id_!r} must be an id like any other"
    ids = [head.key.id for head in trial.store.heads(trial.owner)]
    assert sorted(ids) == sorted(IDS), "each session must be listed once, by its own id"
    for gone, id_ in enumerate(IDS, 1):
        assert trial.store.delete(trial.owner, id_), f"{id_!r} must be deleted like any other"
        assert len(trial.store.heads(trial.owner)) == len(IDS) - gone, "no other must be deleted"


def _check_order(trial: Trial) -> None:
    for nth, id_ in enumerate("cabd"):
        trial.keep(id_, created=CREATED + nth)
    trial.use("a")
    ids = "".join(head.key.id for head in trial.store.heads(trial.owner))
    assert ids == "cabd", f"sessions must be listed as they were created, and not {ids}"


def _check_big(trial: Trial) -> None:
    claim = trial.claim()
    text = ChatMessage("user", ("ü🙂\n" * 300_000, Image("image/png", "A" * 2_000_000)))
    session = build_session(trial.owner, messages=(text, *MESSAGES * 300))
    claim.save(session)
    claim.release()
    assert trial.found().messages == session.messages, "big messages must be kept whole"


def _check_expiry(trial: Trial) -> None:
    trial.keep()
    for _ in range(2):
        used = trial.found().head.used
        trial.advance(0.6 * SHORT)
        trial.use()
        assert trial.found().head.used > used, "a turn must begin a session's life anew"
    trial.advance(0.6 * SHORT)
    trial.found()  # which is no use of it
    trial.advance(0.6 * SHORT)
    trial.check_gone()


def _check_busy(trial: Trial) -> None:
    session = trial.keep()
    claims = trial.claim(), trial.claim("new")
    trial.advance(1.5 * SHORT)
    assert trial.found() == claims[0].session, "a session whose turn runs must not expire"
    assert len(trial.store.heads(trial.owner)) == 1, "a session whose turn runs must be listed"
    assert trial.store.claim(trial.owner, "new", 0) is None, "a claim must last as long as a turn"
    for claim in claims:
        claim.save(claim.session or build_session(trial.owner, "new"))
        claim.release()
    trial.found("new")
    trial.advance(0.6 * SHORT)
    trial.check_same(trial.found(), session)
    trial.advance(0.6 * SHORT)
    trial.check_gone()


CHECKS = (
    _check_nothing,
    _check_kept,
    _check_unchanged,
    _check_exclusive,
    _check_threads,
    _check_deleted,
    _check_owners,
    _check_ids,
    _check_order,
    _check_big,
)
TIMED = (_check_expiry, _check_busy)
