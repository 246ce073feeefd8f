"""The frames that give a process the earlier messages of a conversation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from wrapper.services.claude.protocol.content_blocks import blocks_of
from wrapper.services.claude.protocol.frames import Frame, user_input
from wrapper.services.claude.protocol.mcp_server import PREFIX
from wrapper.services.turn import Message, Turn

NO_CONTENT = "(no content)"

# Frames, and whether Claude Code answers each with a result.
History = Iterator[tuple[Frame, bool]]


def history(turn: Turn, known: int = 0, *, local_commands: bool = False) -> History:
    """Return the frames of an agent's earlier messages. The process already has the first *known*.

    For *local_commands* see `history_of`.
    """
    messages = turn.messages[known:-1] if turn.profile == "agent" else ()
    return history_of(messages, local_commands=local_commands)


def history_of(messages: Iterable[Message], *, local_commands: bool = False) -> History:
    """Yield the frames of *messages*, each in its own role.

    For a message of the user, Claude Code runs a turn without a request, which takes 6 ms of CPU
    time. With *local_commands* the user's texts are sent as those of commands that have run, which
    it appends at once. The first message is not, since a part of the billing block depends on it.
    """
    for index, message in enumerate(messages):
        if message.role == "assistant":
            content = [kept for block in blocks_of(message, PREFIX) for kept in _kept(block)]
            yield _assistant(index, content), False
        elif local_commands and index and (text := _only_text(message)):
            yield {**_assistant(index, []), "local_command_source": text}, False
        else:
            yield {**user_input(message), "shouldQuery": False}, True


def _assistant(index: int, content: list[Frame]) -> Frame:
    message = {"id": f"msg_history{index}", "role": "assistant", "content": content}
    return {"type": "assistant", "message": message, "parent_tool_use_id": None}


def _only_text(message: Message) -> str:
    """Return the text of a message that has no other part, or "" if Claude Code would change it."""
    part = message.parts[0]
    if len(message.parts) != 1 or not isinstance(part, str):
        return ""
    return "" if part.strip() in ("", NO_CONTENT) else part


def _kept(block: Frame) -> list[Frame]:
    """Return *block*, split if Claude Code would drop it as its own text for an empty message."""
    if block.get("text", "").strip() != NO_CONTENT:
        return [block]
    text = block["text"]
    middle = text.index(NO_CONTENT) + 1
    return [{**block, "text": text[:middle]}, {**block, "text": text[middle:]}]
