"""The transport: lines of a process that is already running, and how it is let go of."""

import asyncio
import contextlib
import gc
import json
import os
from collections import Counter

import pytest

from wrapper.services.claude.conversation.pipes import AHEAD_BYTES
from wrapper.services.claude.conversation.setup import Setup
from wrapper.services.claude.conversation.transport import ProcessTransport
from wrapper.services.claude.protocol.frames import control

pytestmark = pytest.mark.packages

SECONDS = 20.0


class Pipes:
    """A process that is nothing but its pipes."""

    pid = 1

    def __init__(self, stack):
        ends = [os.pipe() for _ in range(3)]
        for descriptor in sum(ends, ()):
            stack.callback(os.close, descriptor)
        (self.stdin, into), (out, self.stdout), (err, self.stderr) = ends
        self.pipes = (into, out, err)

    def say(self, frame):
        data = json.dumps(frame).encode() + b"\n"
        while data:
            data = data[os.write(self.stdout, data) :]


@pytest.fixture
def process():
    with contextlib.ExitStack() as stack:
        yield Pipes(stack)


@pytest.fixture(autouse=True)
def _nothing_stays_open(process):
    """What is open afterwards was so before, although nothing was collected meanwhile."""
    gc.collect()
    gc.disable()
    before = set(os.listdir("/proc/self/fd"))
    yield
    after = set(os.listdir("/proc/self/fd"))
    gc.enable()
    assert after <= before  # threads of other tests may close theirs meanwhile


def transport_of(process, *requests):
    return ProcessTransport(process, Setup(requests, (), {}), Counter())


async def turns(number):
    for _ in range(number):
        await asyncio.sleep(0)


@pytest.mark.parametrize("steps", range(12))
def test_let_go_of_at_any_time(process, steps):
    """However far connecting has come when the turn is ended, no file stays open."""

    async def leave():
        transport = transport_of(process, control("one", {}))
        connecting = asyncio.create_task(transport.connect())
        await turns(steps)
        connecting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await connecting
        await transport.close()
        await transport.close()
        await turns(3)

    asyncio.run(leave())


def test_let_go_of_with_much_to_write(process):
    """What a process does not take any more is not waited for."""

    async def leave():
        transport = transport_of(process, {"x": "x" * 1_000_000})
        connecting = asyncio.create_task(transport.connect())
        await turns(20)
        connecting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await connecting
        await transport.close()
        await turns(3)

    asyncio.run(leave())


@contextlib.asynccontextmanager
async def heard(process):
    """Yield a transport that is connected, and the frames that come."""
    transport = transport_of(process)
    await transport.connect()
    await transport.write(json.dumps({"request_id": "greeting"}))
    async with contextlib.aclosing(transport.read_messages()) as frames:
        assert (await anext(frames))["type"] == "control_response"
        yield transport, frames
    await transport.close()
    await turns(3)


@pytest.mark.parametrize("size", [0, 1, AHEAD_BYTES - 100, 2 * AHEAD_BYTES, 5 * AHEAD_BYTES])
def test_long_lines(process, size):
    """A line of any length is one frame, and so is the one after it."""

    async def listen():
        async with heard(process) as (_, frames):
            said = {"type": "system", "text": "x" * size}
            saying = asyncio.to_thread(lambda: [process.say(said), process.say(said)])
            task = asyncio.create_task(saying)
            assert [await anext(frames), await anext(frames)] == [said, said]
            await task

    asyncio.run(asyncio.wait_for(listen(), SECONDS))


def test_hanging_up(process):
    """Once it was hung up nothing more is heard, not even what has come already."""

    async def listen():
        async with heard(process) as (transport, frames):
            for number in range(3):
                process.say({"type": "system", "number": number})
            assert (await anext(frames))["number"] == 0
            transport.hang_up()
            assert [frame async for frame in frames] == []

    asyncio.run(asyncio.wait_for(listen(), SECONDS))
