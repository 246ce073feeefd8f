"""The rehearsal: a turn that ends before anything is sent, so that the one after it is quick.

Claude Code loads and compiles what a turn takes when one first takes it.
"""

from __future__ import annotations

from wrapper.services.claude.frames import IN_THE_BODY, Frame, user_input

HEADERS = "ANTHROPIC_CUSTOM_HEADERS"
# No header may have this name: the turn ends where its request would be made.
UNSENDABLE = "not a name: x"
PROMPT = user_input(IN_THE_BODY)


def heading(headers: str) -> Frame:
    """Return the request that has the process send these *headers* from now on."""
    return {"subtype": "apply_flag_settings", "settings": {"env": {HEADERS: headers}}}
