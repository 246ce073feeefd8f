"""The rehearsal: a turn that ends before anything is sent, so that the one after it is quick.

Claude Code loads and compiles what a turn takes when one first takes it.
"""

from __future__ import annotations

from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.protocol.frames import IN_THE_BODY, Frame, user_input

HEADERS = "ANTHROPIC_CUSTOM_HEADERS"
# No header may have this name: the turn ends where its request would be made.
UNSENDABLE = "not a name: x"


def rehearse(process: Process, seconds: float) -> None:
    """Have a process go through such a turn, once it was greeted; it costs nothing but CPU time.

    Only while no loop is attached. Raises BootFailed where it takes longer than *seconds*.
    """
    process.ask(_heading(UNSENDABLE), seconds)
    process.result = process.tell(user_input(IN_THE_BODY), seconds)
    process.ask(_heading(process.profile.variables.get(HEADERS, "")), seconds)


def _heading(headers: str) -> Frame:
    """Return the request that has it send these *headers* from now on."""
    return {"subtype": "apply_flag_settings", "settings": {"env": {HEADERS: headers}}}
