"""The contract that every session store must fulfil."""

# ruff: noqa: S101 - these checks are assertions

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace

from wrapper.services.messages.message import ChatMessage
from wrapper.services.sessions.store import SessionStore
from wrapper.services.turn import Image
from wrapper.testing.trial import CREATED, IDS, MESSAGES, Trial, build_session

# The lifetimes of sessions in the checks without and with expiry.
LONG = 3600.0
SHORT = 2.0


def check_session_store(
    make: Callable[[float], SessionStore], advance: Callable[[float], object] | None = None
) -> None:
    """Raise AssertionError if the stores that *make* returns do not fulfil SessionStore's contract.

    `make(ttl)` opens a store whose sessions live *ttl* seconds from their last use. Sessions of
    other owners in it are left alone. `advance(seconds)` moves the store's clock; without it, the
    check waits, and takes some ten seconds.
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
    assert trial.store.health()["status"] == "ok", "a working store must have the status ok"


def _check_kept(trial: Trial) -> None:
    claim = trial.claim()
    session = build_session(trial.owner)
    claim.save(session)
    assert trial.read() == session, "a saved session must be read unchanged, also during the turn"
    more = replace(session, messages=MESSAGES * 2)
    claim.save(more)
    assert claim.session == more, "a claim must have the session that was saved last"
    claim.release()
    claim.release()
    trial.check_same(trial.read(), more)
    later = trial.claim()
    assert later.session, "the next turn must get the session that the last one saved"
    trial.check_same(later.session, more)
    claim.release()
    assert trial.store.claim(trial.owner, "one", 0) is None, "only its holder may release a claim"
    assert trial.check_refused(claim, session).retry is False, "the error must not allow a retry"
    later.release()
    trial.check_same(trial.read(), more)


def _check_unchanged(trial: Trial) -> None:
    session = trial.keep()
    trial.use()  # a turn that fails
    trial.check_same(trial.read(), session)
    first, second = trial.store.heads(trial.owner), trial.store.heads(trial.owner)
    if isinstance(first, list):
        first.clear()
    assert list(second) == list(trial.store.heads(trial.owner)), (
        "changing a returned list must not change the store"
    )


def _check_exclusive(trial: Trial) -> None:
    session = trial.keep()
    claim = trial.claim()
    for seconds in (0, 0.05):
        again = trial.store.claim(trial.owner, "one", seconds)
        assert again is None, "while a turn runs, nobody else may claim its session"
    trial.use("other")
    assert trial.read(), "while a turn runs, its session must be readable"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(trial.store.claim, trial.owner, "one", 30)
        wait([waiting], 0.2)
        assert not waiting.done(), "a claim must wait for the given time"
        claim.release()
        claimed = waiting.result(30)
    assert claimed, "a waiting claim must succeed when the other one is released"
    assert claimed.session, "a claim that waited must have its session"
    trial.check_same(claimed.session, session)
    claimed.release()


def _check_threads(trial: Trial) -> None:
    trial.keep()

    def take_turns() -> None:
        for _ in range(10):
            claim = trial.store.claim(trial.owner, "one", 60)
            assert claim, "a claim must succeed in time"
            assert claim.session, "a claim must have its session"
            claim.save(replace(claim.session, messages=(*claim.session.messages, MESSAGES[0])))
            claim.release()

    with ThreadPoolExecutor(8) as pool:
        for turns in [pool.submit(take_turns) for _ in range(8)]:
            turns.result(60)
    count = len(trial.read().messages) - len(MESSAGES)
    assert count == 80, f"of 80 turns of one session in 8 threads, {count} were saved"


def _check_deleted(trial: Trial) -> None:
    session = trial.keep()
    trial.check_head(trial.store.delete(trial.owner, "one"), session)
    trial.check_gone()
    late = trial.claim()
    late.save(session)
    trial.check_head(trial.store.delete(trial.owner, "one"), session)
    assert trial.store.read(trial.owner, "one") is None, "a deleted session must not be readable"
    following = trial.claim()
    assert following.session is None, "a session deleted during a turn must be gone at once"
    error = trial.check_refused(late, session)
    assert error.code == "session_deleted", "the error must say that the session was deleted"
    late.release()
    assert trial.store.claim(trial.owner, "one", 0) is None, "only its holder may release a claim"
    new = build_session(trial.owner)
    following.save(new)
    trial.check_refused(late, session)
    following.release()
    trial.check_same(trial.read(), new)


def _check_owners(trial: Trial) -> None:
    other = f"{trial.owner}:one"
    kept = trial.keep("one:two"), trial.keep("two", owner=other), trial.keep("two")
    claim = trial.claim("two")
    trial.claim("two", other).release()
    claim.release()
    assert trial.store.delete(other, "one:two") is None, (
        "another owner's session must not be deletable"
    )
    trial.check_head(trial.store.delete(other, "two"), kept[1])
    assert list(trial.store.heads(other)) == [], "another owner's session must not be listed"
    assert len(trial.store.heads(trial.owner)) == 2, "the owner's sessions must stay"
    trial.check_same(trial.read("two"), kept[2])


def _check_ids(trial: Trial) -> None:
    for id_ in IDS:
        trial.keep(id_)
    for id_ in IDS:
        assert trial.read(id_).head.key.id == id_, f"{id_!r} must work as an id"
    ids = [head.key.id for head in trial.store.heads(trial.owner)]
    assert sorted(ids) == sorted(IDS), "each session must be listed once, with its id"
    for gone, id_ in enumerate(IDS, 1):
        assert trial.store.delete(trial.owner, id_), f"{id_!r} must be deletable"
        assert len(trial.store.heads(trial.owner)) == len(IDS) - gone, (
            "no other session may be deleted"
        )


def _check_order(trial: Trial) -> None:
    for nth, id_ in enumerate("cabd"):
        trial.keep(id_, created=CREATED + nth)
    trial.use("a")
    ids = "".join(head.key.id for head in trial.store.heads(trial.owner))
    assert ids == "cabd", f"sessions must be listed in the order of creation, not {ids}"


def _check_large(trial: Trial) -> None:
    claim = trial.claim()
    text = ChatMessage("user", ("ü🙂\n" * 300_000, Image("image/png", "A" * 2_000_000)))
    session = build_session(trial.owner, messages=(text, *MESSAGES * 300))
    claim.save(session)
    claim.release()
    assert trial.read().messages == session.messages, "large messages must be kept complete"


def _check_expiry(trial: Trial) -> None:
    trial.keep()
    for _ in range(2):
        used = trial.read().head.used
        trial.advance(0.6 * SHORT)
        trial.use()
        assert trial.read().head.used > used, "a turn must restart a session's lifetime"
    trial.advance(0.6 * SHORT)
    trial.read()  # reading does not count as use
    trial.advance(0.6 * SHORT)
    trial.check_gone()


def _check_busy(trial: Trial) -> None:
    session = trial.keep()
    claims = trial.claim(), trial.claim("new")
    trial.advance(1.5 * SHORT)
    assert trial.read() == claims[0].session, "a session with a running turn must not expire"
    assert len(trial.store.heads(trial.owner)) == 1, "a session with a running turn must be listed"
    assert trial.store.claim(trial.owner, "new", 0) is None, "a claim must last as long as a turn"
    for claim in claims:
        claim.save(claim.session or build_session(trial.owner, "new"))
        claim.release()
    trial.read("new")
    trial.advance(0.6 * SHORT)
    trial.check_same(trial.read(), session)
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
    _check_large,
)
TIMED = (_check_expiry, _check_busy)
