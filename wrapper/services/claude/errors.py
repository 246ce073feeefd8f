"""The failures of a process, each by what follows from it."""

from __future__ import annotations

from wrapper.errors import BadGateway


class BootFailed(Exception):
    """Raised when a process did not come up; the message says why."""


class Refused(BootFailed):
    """Raised when a process came up, but must not serve; the message holds the mend."""


class DiedEarly(BadGateway):
    """Raised when a process ended before it was asked anything, so that another may be asked."""
