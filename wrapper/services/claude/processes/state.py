"""What a process keeps from its turns, and how it is cleared of their conversation."""

from __future__ import annotations

from dataclasses import dataclass, replace

from wrapper.services.claude.errors.engine_errors import BootFailed
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.protocol.frames import Frame, command
from wrapper.services.turn import Message

CLEAR_SECONDS = 5.0


@dataclass(frozen=True)
class ProcessState:
    """What a process keeps after a turn, and its next turn builds on.

    `known` is the part of the conversation that the process knows, and `settings` are the control
    requests that are in force. `result` is the raw result of its last turn, because Claude Code
    adds up usage over the life of a process. `first` and `last` are the UUIDs of the user's first
    and last message, empty where these have none. `turns` counts all turns of the process.
    """

    known: tuple[Message, ...] = ()
    settings: tuple[Frame, ...] = ()
    result: Frame | None = None
    first: str = ""
    last: str = ""
    turns: int = 0


def clear(
    process: Process, state: ProcessState, seconds: float = CLEAR_SECONDS
) -> ProcessState | None:
    """Clear a process of its conversation and return its new state, None if that fails.

    It reads the process's pipes, so no event loop may be attached to them. An agent is rewound to
    its first message instead of sent /clear, which would leave a note that the model sees.
    """
    try:
        plain = process.profile.name == "plain"
        cleared = (_send_clear if plain else _rewind)(process, state, seconds)
    except (BootFailed, OSError):
        return None
    return cleared if process.alive_and_silent() else None


def _send_clear(process: Process, state: ProcessState, seconds: float) -> ProcessState:
    """Send /clear, after which Claude Code counts usage from zero."""
    process.send(command("/clear"), seconds)
    return replace(state, known=(), result=None)


def _rewind(process: Process, state: ProcessState, seconds: float) -> ProcessState | None:
    messages = {"target_message_uuid": state.first, "last_seen_user_message_uuid": state.last}
    answer = process.ask({"subtype": "rewind_conversation", **messages}, seconds)
    rewound = answer.get("rewound") is True and answer.get("precedingAssistantUuid") is None
    return replace(state, known=(), first="", last="") if rewound else None
