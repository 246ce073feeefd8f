"""Run one `query()` of the SDK on a process that already runs."""

from __future__ import annotations

import logging
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from claude_code_sdk import ClaudeCodeOptions, HookMatcher, query
from claude_code_sdk.types import HookEvent

from wrapper.errors import ApiError, BadGateway
from wrapper.logs.redaction import Redacted
from wrapper.services import resources
from wrapper.services.claude.conversation.transport import ProcessTransport
from wrapper.services.claude.protocol.frames import Frame

Hook = Callable[..., Awaitable[Any]]
NO_HOOKS: Mapping[str, Hook] = MappingProxyType({})

log = logging.getLogger(__name__)


@contextmanager
def understood() -> Iterator[None]:
    """Turn each error that Claude Code's output causes into a BadGateway.

    Nothing else checks its frames: code that reads one expects each field to be there.
    """
    try:
        yield
    except ApiError:
        raise
    except Exception as error:
        if short := resources.lack(error):
            raise short from error
        log.warning(
            "Claude Code's output could not be understood: %s at %s",
            Redacted(error),
            _location(error),
            exc_info=log.isEnabledFor(logging.DEBUG),
        )
        what = "Claude Code's output cannot be understood, or it went away."
        raise BadGateway(what, retry=False) from error


async def ask(
    transport: ProcessTransport, hooks: Mapping[str, Hook] = NO_HOOKS
) -> AsyncGenerator[Any]:
    """Yield the SDK's messages until the result. The SDK may raise any exception.

    It numbers the *hooks*, which it calls by the names of their events, in their order.
    """
    # The SDK is older than some events, but passes them on.
    matchers = {
        cast(HookEvent, event): [HookMatcher(hooks=[hook])] for event, hook in hooks.items()
    }
    messages = query(
        prompt=_no_input(),
        options=ClaudeCodeOptions(hooks=matchers or None),
        transport=transport,
    )
    try:
        async for message in messages:
            yield message
    finally:
        # The SDK's inner generator must end by itself, in this task: closing the outer one would
        # leave the inner one to the garbage collector.
        transport.hang_up()
        async for _ in messages:
            pass
        await transport.close()


def _location(error: Exception) -> str:
    """Return the file and line that raised *error*."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"


async def _no_input() -> AsyncIterator[Frame]:
    """Yield nothing: the transport sends the prompt as soon as the process is set up."""
    none: tuple[Frame, ...] = ()
    for frame in none:
        yield frame
