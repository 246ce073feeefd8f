"""Warm a process up with a turn that ends before it sends anything, so the next turn is quick.

Claude Code loads and compiles what a turn needs when it runs its first one.
"""

from __future__ import annotations

from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.protocol.frames import IN_THE_BODY, Frame, user_input

HEADERS = "ANTHROPIC_CUSTOM_HEADERS"
# No header may have this name, so the turn ends where Claude Code would make its request.
INVALID_HEADER = "not a name: x"


def warm_up(process: Process, seconds: float) -> None:
    """Run such a turn on a process that is initialized. It uses CPU time, but no tokens.

    It reads the process's pipes, so no event loop may be attached to them. Raises BootFailed if it
    takes longer than *seconds*.
    """
    process.ask(_set_headers(INVALID_HEADER), seconds)
    process.send(user_input(IN_THE_BODY), seconds)
    process.ask(_set_headers(process.profile.variables.get(HEADERS, "")), seconds)


def _set_headers(headers: str) -> Frame:
    """Return the control request that makes Claude Code send these *headers* from now on."""
    return {"subtype": "apply_flag_settings", "settings": {"env": {HEADERS: headers}}}
