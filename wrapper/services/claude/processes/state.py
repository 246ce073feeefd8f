"""What a process keeps from its turns, and how it is cleared of their conversation."""

from __future__ import annotations

from dataclasses import dataclass, replace

from wrapper.services.claude.errors.engine_errors import BootFailed
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.protocol.frames import BOUNDARY, Frame, command
from wrapper.services.turn import Message

CLEAR_SECONDS = 5.0


@dataclass(frozen=True)
class ProcessState:
    """What a process keeps after a turn, and its next turn builds on.

    `known` is the part of the conversation that the process knows, and `settings` are the control
    requests that are in force. `result` is the raw result of its last turn, because Claude Code
    adds up usage until it is cleared. `turns` counts all turns of the process.
    """

    known: tuple[Message, ...] = ()
    settings: tuple[Frame, ...] = ()
    result: Frame | None = None
    turns: int = 0


def clear(
    process: Process, state: ProcessState, seconds: float = CLEAR_SECONDS
) -> ProcessState | None:
    """Clear a process of its conversation and return its new state, None if that fails.

    It reads the process's pipes, so no event loop may be attached to them. After /clear the
    session has another name, and usage counts from zero. The command leaves notes in the
    conversation, which the boundary hides from the model.
    """
    try:
        process.send(command("/clear"), seconds)
        process.tell(BOUNDARY)
    except (BootFailed, OSError):
        return None
    return replace(state, known=(), result=None) if process.alive_and_silent() else None
