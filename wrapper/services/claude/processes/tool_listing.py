"""List the tools of an agent, as its model gets them from the installed Claude Code."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass

from wrapper.errors import Unavailable
from wrapper.services import resources
from wrapper.services.claude.errors.engine_errors import BootFailed
from wrapper.services.claude.processes.binary import Binary
from wrapper.services.claude.processes.pool import unavailable
from wrapper.services.claude.processes.profiles import Profile
from wrapper.services.claude.processes.recorded_process import (
    RecordedProcess,
    with_recorded_process,
)
from wrapper.services.claude.processes.supervisor import Supervisor
from wrapper.services.tools.tool import Tool
from wrapper.settings import Settings

# How long a failure is remembered. A caller could start process after process otherwise.
FAILURE_SECONDS = 30.0


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
        if not self._settings.claude_tools:
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
        tools: list[Tool] = []

        def read(recorded: RecordedProcess) -> None:
            tools.extend(recorded.tools(self._settings.boot_timeout))

        with_recorded_process(supervisor, self._profile, self._settings.default_model, read)
        return tuple(tools)
