"""The contract that every engine must fulfil."""

# ruff: noqa: S101 - these checks are assertions

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from typing import get_args

from wrapper.errors import ApiError
from wrapper.services.catalog import Model
from wrapper.services.engine import Engine, takes_bodies
from wrapper.services.events import Ended, Event, RawEvent, Started, TextDelta, Used
from wrapper.services.spent import sum_usage
from wrapper.services.turn import Message, SessionKey, Turn
from wrapper.services.turns.turn_loop import LEAVING_SECONDS, TurnLoop

STATES = ("ok", "starting", "degraded", "failing")
DESCRIBED = {"method", "reason", "ready", "missing", "cli", "account"}
NOBODY = SessionKey("nobody", "none", "0" * 32)
# The limits for calls that must not wait, and for any turn.
AT_ONCE = 1.0
TURN_SECONDS = 60.0
TICK = 0.25


def check_engine(make: Callable[[], Engine], turn: Turn, endless: Turn) -> None:
    """Raise AssertionError if the engines that *make* returns do not fulfil `Engine`'s contract.

    The answer to *turn* is text. *endless* must run for half a minute or more once it has begun.
    This runs about ten turns, which may cost money. One of them has a `body` if the engine takes
    such turns.
    """
    for check in (_check_life, _check_turns, _check_bodies, _check_abandoned):
        engine = make()
        try:
            check(engine, turn, endless)
        finally:
            engine.close()


def say(text: str, model: str = "sonnet", profile: str = "plain") -> Turn:
    """Return a turn in which the user says *text*."""
    return Turn(model, (Message("user", (text,)),), profile=profile)


def _check_life(engine: Engine, turn: Turn, endless: Turn) -> None:
    _check_state(engine)
    engine.start()
    engine.start()
    _check_state(engine)
    _check_answer(_play(engine, turn)[0])  # it has only just started
    _check_state(engine)
    assert engine.models(), "an engine that has answered must know its models"
    assert engine.health()["status"] != "failing", "an engine that answers must not say it fails"
    assert NOBODY not in engine.parked(), "parked must not name a session that never existed"
    engine.forget(NOBODY)
    described = engine.describe()
    assert described.keys() >= DESCRIBED, f"describe() lacks {DESCRIBED - described.keys()}"
    engine.close()
    engine.close()
    try:
        _play(engine, turn)
    except ApiError:
        return
    raise AssertionError("a closed engine must refuse a turn with an ApiError")


def _check_state(engine: Engine) -> None:
    """Check that frequent calls return at once, at any time of the engine's life."""
    began = time.monotonic()
    health, models, parked = engine.health(), engine.models(), engine.parked()
    assert time.monotonic() - began < AT_ONCE, "health, models and parked must not wait"
    assert health.get("status") in STATES, f"health()['status'] must be one of {STATES}"
    assert all(isinstance(model, Model) for model in models), "models() must return Models"
    assert all(isinstance(key, SessionKey) for key in parked), "parked() must return SessionKeys"


def _check_turns(engine: Engine, turn: Turn, endless: Turn) -> None:
    """Check concurrent turns: in one loop, as for n answers, and in several threads."""
    for events in _play(engine, turn, turn):
        _check_answer(events)
    with ThreadPoolExecutor(3) as threads:
        for played in [threads.submit(_play, engine, turn) for _ in range(3)]:
            _check_answer(played.result(2 * TURN_SECONDS)[0])


def _check_bodies(engine: Engine, turn: Turn, endless: Turn) -> None:
    """Check a turn with a body, which is answered by the events of the model's API."""
    if not takes_bodies(engine):
        return
    texts = [part for message in turn.messages for part in message.parts if isinstance(part, str)]
    messages = [{"role": "user", "content": "".join(texts)}]
    body = {"model": "another", "max_tokens": 100, "messages": messages}
    (events,) = _play(engine, replace(turn, messages=(), system=None, profile="plain", body=body))
    _check_kinds(events)
    _check_usage(events)
    kinds = [event.data["type"] for event in events if isinstance(event, RawEvent)]
    assert kinds[:1] == ["message_start"], f"the first raw event must be message_start: {kinds}"
    assert kinds[-1] == "message_stop", f"the last raw event must be message_stop: {kinds}"


def _check_abandoned(engine: Engine, turn: Turn, endless: Turn) -> None:
    asyncio.run(_leave(engine, endless))
    began = asyncio.run(_close(engine, endless))
    assert time.monotonic() - began < LEAVING_SECONDS, "a closed turn must end at once"
    _check_answer(_play(engine, turn)[0])


async def _leave(engine: Engine, endless: Turn) -> None:
    leaving, events, began = asyncio.Event(), [], 0.0
    async with asyncio.timeout(TURN_SECONDS), aclosing(engine.run(endless, leaving)) as running:
        async for event in running:
            events.append(event)
            if isinstance(event, Started):
                leaving.set()
                began = time.monotonic()
    assert time.monotonic() - began < LEAVING_SECONDS, (
        f"a turn whose client has left must end within {LEAVING_SECONDS:g} s"
    )
    _check_kinds(events)


async def _close(engine: Engine, endless: Turn) -> float:
    leaving = asyncio.Event()
    async with asyncio.timeout(TURN_SECONDS), aclosing(engine.run(endless, leaving)) as running:
        async for event in running:
            if isinstance(event, Started):
                break
        began = time.monotonic()
    if others := asyncio.all_tasks() - {asyncio.current_task()}:  # they may be cancelled already
        _, left = await asyncio.wait(others, timeout=AT_ONCE)
        assert not left, f"a closed turn must leave no task running: {left}"
    return began


def _play(engine: Engine, *turns: Turn) -> list[list[Event]]:
    """Return the events of each turn, run as the gateway does."""
    loop, until = TurnLoop(engine, turns, TICK), time.monotonic() + TURN_SECONDS
    events: list[list[Event]] = [[] for _ in turns]
    try:
        for item in loop:
            if item is not None:
                events[item[0]].append(item[1])
            assert time.monotonic() < until, f"a turn must end within {TURN_SECONDS:g} s here"
    finally:
        loop.close()
    return events


def _check_answer(events: list[Event]) -> None:
    _check_kinds(events)
    assert any(isinstance(event, TextDelta) and event.text for event in events), (
        "the answer must have text"
    )
    _check_usage(events)


def _check_usage(events: list[Event]) -> None:
    ended = events[-1]
    assert isinstance(ended, Ended), f"a turn's last event must be Ended, not {ended}"
    used = [event for event in events if isinstance(event, Used)]
    assert used, "a turn must report its usage before its end"
    reported = sum_usage(spent.usage for spent in used[-1].spent.values())
    assert reported == ended.usage, f"Ended has {ended.usage}, but the last Used has {reported}"


def _check_kinds(events: list[Event]) -> None:
    unknown = [event for event in events if not isinstance(event, get_args(Event))]
    assert not unknown, f"these are not events: {unknown}"
    first = next((event for event in events if not isinstance(event, Used)), None)
    assert isinstance(first, Started), f"a turn must begin with Started, not {first}"
    ends = [event for event in events[:-1] if isinstance(event, Ended)]
    assert not ends, "nothing may follow Ended"
