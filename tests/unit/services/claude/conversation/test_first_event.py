"""The wait for a turn's first event ends the turn, unless the model has begun."""

from __future__ import annotations

import asyncio

import pytest

from wrapper.services.claude.conversation.first_event import FirstEventWait

SOON, NEVER = 0.01, 60.0


async def wait(seconds: float, *, begun: bool = False, works: int = 0, most: float = 0.2) -> bool:
    """Return whether a turn that waits *most* seconds is ended; at first it *works* some times."""
    rounds = iter(range(works))
    try:
        async with asyncio.timeout(None) as deadline:
            first_event = FirstEventWait(
                seconds,
                deadline,
                has_begun=lambda: begun,
                works=lambda: next(rounds, None) is not None,
            )
            try:
                await asyncio.sleep(most)
            finally:
                first_event.cancel()
    except TimeoutError:
        assert first_event.is_over
        return True
    assert not first_event.is_over
    return False


@pytest.mark.parametrize("works", [0, 3])
def test_silent(works):
    """A turn whose model does not begin is ended, even if it has worked at first."""
    assert asyncio.run(wait(SOON, works=works, most=NEVER))


@pytest.mark.parametrize(("seconds", "begun"), [(SOON, True), (0, False), (NEVER, False)])
def test_not_ended(seconds, begun):
    """It is not ended once the model has begun, without a limit, or before the time is over."""
    assert not asyncio.run(wait(seconds, begun=begun))


def test_deadline():
    """A turn that is to end by another time already keeps that."""

    async def play() -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(NEVER) as deadline:
            until = deadline.when()
            wait = FirstEventWait(SOON, deadline, has_begun=lambda: False, works=lambda: False)
            alarm = loop.create_future()
            loop.call_later(3 * SOON, alarm.set_result, None)
            await alarm
            assert (deadline.when(), wait.is_over) == (until, False)

    asyncio.run(play())
