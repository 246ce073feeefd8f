"""The transport: how it reads a process's lines, and detaches its pipes."""

import asyncio
import contextlib
import gc
import json
import os
from collections import Counter

import pytest

from wrapper.errors import BadGateway
from wrapper.services.claude.conversation.pipes import AHEAD_BYTES
from wrapper.services.claude.conversation.setup import Setup
from wrapper.services.claude.conversation.transport import ProcessTransport
from wrapper.services.claude.errors.engine_errors import DiedEarly
from wrapper.services.claude.protocol.frames import control
from wrapper.services.events import ToolUsed

pytestmark = pytest.mark.packages

SECONDS = 20.0


class Pipes:
    """A process that consists of its pipes."""

    pid = 1

    def __init__(self, stack):
        ends = [os.pipe() for _ in range(3)]
        for descriptor in sum(ends, ()):
            stack.callback(os.close, descriptor)
        (self.stdin, into), (out, self.stdout), (err, self.stderr) = ends
        self.pipes = (into, out, err)

    def write(self, frame):
        data = json.dumps(frame).encode() + b"\n"
        while data:
            data = data[os.write(self.stdout, data) :]


@pytest.fixture
def process():
    with contextlib.ExitStack() as stack:
        yield Pipes(stack)


@pytest.fixture(autouse=True)
def _nothing_stays_open(process):
    """Fail if a test leaves a pipe open, without help from the garbage collector."""
    gc.collect()
    gc.disable()
    before = descriptors_of(process)
    yield
    after = descriptors_of(process)
    gc.enable()
    assert after <= before


def descriptors_of(process):
    """Return the descriptors of the pipes of *process*. Threads of other tests have others."""
    pipes = {os.readlink(f"/proc/self/fd/{descriptor}") for descriptor in process.pipes}
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(f"/proc/self/fd/{name}") in pipes:
                found.add(name)
    return found


def transport_of(process, *requests):
    return ProcessTransport(process, Setup(requests, (), {}), Counter())


async def run_steps(number):
    for _ in range(number):
        await asyncio.sleep(0)


@pytest.mark.parametrize("steps", range(12))
def test_closing_at_any_time(process, steps):
    """No file stays open, however far connecting has come when the turn ends."""

    async def leave():
        transport = transport_of(process, control("one", {}))
        connecting = asyncio.create_task(transport.connect())
        await run_steps(steps)
        connecting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await connecting
        await transport.close()
        await transport.close()
        await run_steps(3)

    asyncio.run(leave())


def test_closing_with_much_to_write(process):
    """Closing does not wait for what the process no longer reads."""

    async def leave():
        transport = transport_of(process, {"x": "x" * 1_000_000})
        connecting = asyncio.create_task(transport.connect())
        await run_steps(20)
        connecting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await connecting
        await transport.close()
        await run_steps(3)

    asyncio.run(leave())


@pytest.mark.parametrize(
    ("calls_run", "error"),
    [([], DiedEarly), ([ToolUsed("mcp__clock__now", "done", 0.1)], BadGateway)],
)
def test_process_that_ends_before_it_is_asked(process, calls_run, error):
    """Another process is tried if one takes its setup, but no prompt, unless calls would run twice.

    A DiedEarly makes the runner try another one, and a BadGateway ends the turn.
    """

    async def connect():
        transport = transport_of(process, control("one", {}))
        transport._setup.approved.events += calls_run
        connecting = asyncio.create_task(transport.connect())
        await run_steps(20)
        with open(os.devnull) as closed:
            os.dup2(closed.fileno(), process.stdin)
        response = {"subtype": "success", "request_id": "one"}
        process.write({"type": "control_response", "response": response})
        try:
            with pytest.raises(error):
                await connecting
        finally:
            await transport.close()
            await run_steps(3)

    asyncio.run(asyncio.wait_for(connect(), SECONDS))


@contextlib.asynccontextmanager
async def connected(process):
    """Yield a connected transport and its frames."""
    transport = transport_of(process)
    await transport.connect()
    await transport.write(json.dumps({"request_id": "sdk_1"}))
    async with contextlib.aclosing(transport.read_messages()) as frames:
        assert (await anext(frames))["type"] == "control_response"
        yield transport, frames
    await transport.close()
    await run_steps(3)


@pytest.mark.parametrize("size", [0, 1, AHEAD_BYTES - 100, 2 * AHEAD_BYTES, 5 * AHEAD_BYTES])
def test_long_lines(process, size):
    """A line of any length is one frame, and so is the one after it."""

    async def listen():
        async with connected(process) as (_, frames):
            frame = {"type": "system", "text": "x" * size}
            writing = asyncio.to_thread(lambda: [process.write(frame), process.write(frame)])
            task = asyncio.create_task(writing)
            assert [await anext(frames), await anext(frames)] == [frame, frame]
            await task

    asyncio.run(asyncio.wait_for(listen(), SECONDS))


def test_hanging_up(process):
    """After hanging up no frame is read, not even one that has already come."""

    async def listen():
        async with connected(process) as (transport, frames):
            for number in range(3):
                process.write({"type": "system", "number": number})
            assert (await anext(frames))["number"] == 0
            transport.hang_up()
            assert [frame async for frame in frames] == []

    asyncio.run(asyncio.wait_for(listen(), SECONDS))
