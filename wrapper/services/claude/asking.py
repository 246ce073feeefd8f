"""The asking: one `query()` of the SDK's on a process that is already running."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, cast

from claude_code_sdk import ClaudeCodeOptions, HookMatcher, query
from claude_code_sdk.types import HookEvent

from wrapper.errors import ApiError, BadGateway
from wrapper.services.claude.frames import Frame
from wrapper.services.claude.transport import ProcessTransport

Hook = Callable[..., Awaitable[Any]]

log = logging.getLogger(__name__)


async def ask(
    transport: ProcessTransport, prompt: Frame, after_tools: Hook | None = None
) -> AsyncGenerator[Any]:
    """Yield the SDK's messages up to the result; what it cannot do becomes a BadGateway.

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
    except ApiError:
        raise
    except Exception as error:
        log.warning("the SDK gave up: %s", error, exc_info=True)
        what = "Claude Code said what cannot be understood, or went away."
        raise BadGateway(what, retry=False) from error
    finally:
        # The SDK's inner generator has to come to its end by itself, in this very task:
        # closing the outer one would leave it to the garbage collector.
        transport.hang_up()
        async for _ in asking:
            pass
        await transport.close()


async def _once(prompt: Frame) -> AsyncIterator[Frame]:
    yield prompt
