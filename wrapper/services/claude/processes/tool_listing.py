"""List the tools of an agent, as its model gets them from the installed Claude Code.

Claude Code describes its tools only to the model. So a process of its own sends one request to the
gateway itself, on loopback, with no login and at no cost, and the tools are read from that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial

from wrapper.errors import BadGateway, Unavailable
from wrapper.services import resources
from wrapper.services.claude.errors.engine_errors import BootFailed
from wrapper.services.claude.processes.binary import Binary
from wrapper.services.claude.processes.pool import unavailable
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.profiles import SECRET, Profile
from wrapper.services.claude.processes.supervisor import Supervisor
from wrapper.services.claude.processes.trials.recorder import Request, recording
from wrapper.services.claude.protocol import frames
from wrapper.services.tools.tool import Tool
from wrapper.services.turn import Message, Turn
from wrapper.settings import Settings

# How long a failure is remembered. A caller could start process after process otherwise.
FAILURE_SECONDS = 30.0
# What the process does not get: logins, what names another server, and what goes round this one.
WITHHELD = (*SECRET, "*_PROXY", "*_proxy", "CLAUDE_CODE_USE_*", "CLAUDE_CODE_SKIP_*_AUTH")
# Of these it gets what decides on models and regions, which the tools depend on.
KEPT = (
    *("ANTHROPIC_*MODEL*", "AWS_REGION", "AWS_DEFAULT_REGION"),
    *("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX"),
)
BASE_URLS = ("ANTHROPIC_BASE_URL", "ANTHROPIC_BEDROCK_BASE_URL", "ANTHROPIC_VERTEX_BASE_URL")
NO_LOGIN = {
    "ANTHROPIC_API_KEY": "none-needed-on-loopback",
    "ANTHROPIC_VERTEX_PROJECT_ID": "none",
    "CLAUDE_CODE_SKIP_BEDROCK_AUTH": "1",
    "CLAUDE_CODE_SKIP_VERTEX_AUTH": "1",
    "CLAUDE_CODE_MAX_RETRIES": "0",
}


@dataclass(frozen=True)
class _Listing:
    """The tools of *binary*, which may still be on their way.

    `until` is the time on the monotonic clock until which a failure is remembered.
    """

    binary: Binary
    tools: Future[tuple[Tool, ...]]
    until: float

    def is_current(self, binary: Binary) -> bool:
        failed = self.tools.done() and self.tools.exception() is not None
        return self.binary == binary and not (failed and time.monotonic() >= self.until)


class ToolListing:
    """Lists the tools of *profile* on first use, and again once the binary has changed."""

    def __init__(self, settings: Settings, profile: Profile):
        self._settings = settings
        self._profile = profile
        self._lock = threading.Lock()
        self._listing: _Listing | None = None

    def read(self, supervisor: Supervisor) -> tuple[Tool, ...]:
        """Return the tools. Threads that ask at once wait for one listing. Raises ApiError."""
        if not self._profile.has_tools:
            return ()
        try:
            binary = supervisor.installation.binary()
            tools = self._begin(supervisor, binary)
            return tools.result(self._settings.boot_timeout)
        except BootFailed as error:
            raise unavailable(error) from None
        except TimeoutError:
            raise Unavailable("The tools are still being listed; ask again.") from None
        except OSError as error:
            raise resources.lack(error) or error from None

    def _begin(self, supervisor: Supervisor, binary: Binary) -> Future[tuple[Tool, ...]]:
        """Return the listing that is current, or else begin one."""
        with self._lock:
            if self._listing is None or not self._listing.is_current(binary):
                tools = supervisor.boot_threads.submit(self._list, supervisor)
                self._listing = _Listing(binary, tools, time.monotonic() + FAILURE_SECONDS)
            return self._listing.tools

    def _list(self, supervisor: Supervisor) -> tuple[Tool, ...]:
        seconds = self._settings.boot_timeout
        with recording() as recorder:
            profile = _diverted(self._profile, recorder.url)
            model = self._settings.default_model
            supervisor.with_process(profile, partial(_ask, model=model, seconds=seconds))
        return tuple(_read_tools(recorder.requests))


def _ask(process: Process, model: str, seconds: float) -> None:
    """Run a turn on *process*, which its server refuses."""
    turn = Turn(process.full_model_name(model), (Message("user", ("Which tools are there?",)),))
    for frame in frames.configuration(turn, frames.settings(turn)):
        process.ask(frame["request"], seconds)
    process.send(frames.prompt(turn), seconds)


def _diverted(profile: Profile, url: str) -> Profile:
    """Return *profile* with its requests going to *url*, and without any login."""
    kept = {
        name: value
        for name, value in profile.variables.items()
        if _matches(name, KEPT) or not _matches(name, WITHHELD)
    }
    addresses = dict.fromkeys(BASE_URLS, url)
    return replace(profile, variables={**kept, **NO_LOGIN, **addresses})


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _read_tools(requests: Iterable[Request]) -> Iterator[Tool]:
    """Yield the tools in the first request that has any. Raises BadGateway if none has."""
    listed = next(filter(None, (request.fields.get("tools") for request in requests)), None)
    if not isinstance(listed, list):
        raise BadGateway("Claude Code sent the model no tools.")
    for row in listed:
        if not isinstance(row, dict) or not isinstance(row.get("name"), str):
            raise BadGateway("Claude Code's tools cannot be understood.")
        schema = row.get("input_schema")
        yield Tool(
            row["name"],
            str(row.get("description") or ""),
            schema if isinstance(schema, dict) else {},
        )
