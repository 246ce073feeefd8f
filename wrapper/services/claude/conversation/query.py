"""The asking: one `query()` of the SDK's on a process that is already running."""

from __future__ import annotations

import logging
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from claude_code_sdk import ClaudeCodeOptions, HookMatcher, query
from claude_code_sdk.types import HookEvent

from wrapper.errors import ApiError, BadGateway
from wrapper.logs.redaction import Redacted
from wrapper.services import resources
from wrapper.services.claude.conversation.transport import ProcessTransport
from wrapper.services.claude.protocol.frames import Frame

Hook = Callable[..., Awaitable[Any]]

log = logging.getLogger(__name__)


@contextmanager
def understood() -> Iterator[None]:
    """Make a BadGateway of whatever fails because of what Claude Code has said.

    Its frames are checked nowhere else: who reads one takes what should stand there.
    """
    try:
        yield
    except ApiError:
        raise
    except Exception as error:
        if short := resources.lack(error):
            raise short from error
        talkative = log.isEnabledFor(logging.DEBUG)
        log.warning(
            "could not be understood: %s at %s",
            Redacted(error),
            _place(error),
            exc_info=talkative,
        )
        what = "Claude Code said what cannot be understood, or went away."
        raise BadGateway(what, retry=False) from error


async def ask(
    transport: ProcessTransport, prompt: Frame, after_tools: Hook | None = None
) -> AsyncGenerator[Any]:
    """Yield the SDK's messages up to the result; it raises what it likes where it cannot.

    *after_tools* is called after each round of tool use.
    """
    # The SDK is older than this hook; it passes on whatever it is given.
    rounds = cast(HookEvent, "PostToolBatch")
    hooks = {rounds: [HookMatcher(hooks=[after_tools])]} if after_tools else None
    asking = query(
        prompt=_once(prompt), options=ClaudeCodeOptions(hooks=hooks), transport=transport
    )
    try:
        async for message in asking:
            yield message
    finally:
        # The SDK's inner generator has to come to its end by itself, in this very task:
        # closing the outer one would leave it to the garbage collector.
        transport.hang_up()
        async for _ in asking:
            pass
        await transport.close()


def _place(error: Exception) -> str:
    """Return the file and line that raised *error*."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"


async def _once(prompt: Frame) -> AsyncIterator[Frame]:
    yield prompt
