"""The error of a turn without a first event: what its process has probably waited for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from wrapper.errors import TimedOut
from wrapper.services import resources

# So many processes that run or wait for each core slow all of them down.
OVERLOAD = 4.0

TIMED_OUT = "The model had not begun to answer after {seconds:g} s (FIRST_EVENT_TIMEOUT). {cause}"
UNCONFIGURED = "Claude Code did not finish its preparations for the turn. It waited for {causes}."
NOT_BEGUN = "Claude Code did not ask the model. It waited for {causes}."
REFUSED = (
    "The model's API answered with the status {status}, and Claude Code waited to ask it again."
)
UNREACHABLE = (
    "Claude Code could not connect to the model's API, and tried again. The gateway's operator "
    "must check ANTHROPIC_BASE_URL, the proxies (HTTPS_PROXY), and the network."
)
SILENT = (
    "The request was sent, and nothing came back. The model's API is overloaded, or something on "
    "the way to it holds the request. If that happens often, the gateway's operator must check "
    "ANTHROPIC_BASE_URL, the proxies (HTTPS_PROXY), and the network."
)
USED_UP = "The provider's limit for the gateway's login is used up; GET /v1/limits has more."
RENEWED = "The gateway's login has to be renewed, and Claude Code may have waited for that."
OVERLOADED = "The gateway's machine is overloaded."


class NoFirstEvent(TimedOut):
    """Raised if the model has not begun to answer in time. Its process is ended."""

    def awaiting_login(self) -> Self:
        """Return the error for a login that Claude Code had to renew before it could use it."""
        return self.replace(message=f"{self.message} {RENEWED}")


@dataclass(frozen=True)
class Silence:
    """What is known of a turn whose model has not begun to answer.

    `configured`: the process is set up for the turn. `begun`: it has begun the turn, so that it
    asks the model next. `retried`: the API failed with the `status`, or could not be reached if
    that is None. `used_up`: the provider refuses the login's requests. `connects`: the turn has
    MCP servers. `hooks`: the operator's own settings may have hooks.
    """

    configured: bool = False
    begun: bool = False
    retried: bool = False
    status: int | None = None
    used_up: bool = False
    connects: bool = False
    hooks: bool = False

    def error(self, seconds: float) -> NoFirstEvent:
        """Return the error of a turn that has waited *seconds*."""
        causes = " ".join((self._cause(), *([USED_UP] if self.used_up else []), *_overload()))
        message = TIMED_OUT.format(seconds=seconds, cause=causes)
        return NoFirstEvent(message, retry=False)

    def _cause(self) -> str:
        if not self.configured:
            return UNCONFIGURED.format(causes=" or ".join(self._causes()))
        if not self.begun:
            return NOT_BEGUN.format(causes=" or ".join(self._causes()))
        if not self.retried:
            return SILENT
        return UNREACHABLE if self.status is None else REFUSED.format(status=self.status)

    def _causes(self) -> Iterator[str]:
        if self.connects:
            yield "an MCP server"
        if self.hooks and self.configured:
            yield "a hook (CLAUDE_SETTING_SOURCES)"
        yield "CPU time, or it hangs"


def _overload() -> Iterator[str]:
    """Say that the machine is overloaded, if it is."""
    state = resources.machine_state()
    if state.load is not None and state.load > OVERLOAD * state.cores:
        yield OVERLOADED
