"""Warm a process up with a question that ends before anything is sent, so that its turn is quick.

Claude Code loads and compiles what a turn needs when it first needs it.
"""

from __future__ import annotations

from wrapper.services.catalog import DEFAULT
from wrapper.services.claude.errors.engine_errors import BootFailed
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.protocol.frames import IN_THE_BODY, Frame, settings, user_input
from wrapper.services.turn import Turn

HEADERS = "ANTHROPIC_CUSTOM_HEADERS"
# No header may have this name, so the turn ends where Claude Code would make its request.
INVALID_NAME = "not a name"
INVALID_HEADER = f"{INVALID_NAME}: x"
QUESTION = "Is it ready?"
# Nothing can listen at port 0 either.
UNREACHABLE = {"type": "http", "url": "http://127.0.0.1:0", "headers": {INVALID_NAME: "x"}}


def warm_up(process: Process, seconds: float, model: str = DEFAULT) -> None:
    """Ask a process that is booted such a question. It uses CPU time, but no tokens.

    A plain process is initialized, gets the settings of a turn of *model*, and runs a whole turn:
    it gets each conversation anew. What is said to an agent stays in its conversation, so that it
    is asked aside. If turns may connect MCP servers it also fails to connect one.

    It reads the process's pipes, so no event loop may be attached to them. Raises BootFailed if it
    takes longer than *seconds*, or the question did not end there.
    """
    if process.profile.alike:
        turn = Turn(model, (IN_THE_BODY,), profile=process.profile.name)
        for frame in settings(turn):
            process.ask(frame["request"], seconds)
    else:
        process.ask({"subtype": "get_context_usage", "detail": "summary"}, seconds)
    process.ask(_set_headers(INVALID_HEADER), seconds)
    if process.profile.alike:
        answer = process.send(user_input(IN_THE_BODY), seconds)
    else:
        answer = process.ask({"subtype": "side_question", "question": QUESTION}, seconds)
    process.ask(_set_headers(process.profile.variables.get(HEADERS, "")), seconds)
    if not (answer.get("is_error") or answer.get("synthetic")):  # it is the model's answer
        raise BootFailed("Claude Code did not refuse the warm-up's headers.")
    if process.profile.connects:
        _load_mcp_client(process, seconds)


def _load_mcp_client(process: Process, seconds: float) -> None:
    """Have Claude Code load its MCP client for a server, and forget that server."""
    for servers in ({"warm-up": UNREACHABLE}, {}):
        process.ask({"subtype": "mcp_set_servers", "servers": servers}, seconds)


def _set_headers(headers: str) -> Frame:
    """Return the control request that makes Claude Code send these *headers* from now on."""
    return {"subtype": "apply_flag_settings", "settings": {"env": {HEADERS: headers}}}
