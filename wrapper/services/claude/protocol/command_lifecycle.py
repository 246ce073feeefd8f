"""How far Claude Code is with the messages that have a UUID."""

from __future__ import annotations

from wrapper.services.claude.protocol.frames import Frame

TYPE = "command_lifecycle"


class CommandLifecycle:
    """Follows what Claude Code reports of such messages. It reports their end after the result."""

    def __init__(self) -> None:
        self._open: set[str] = set()

    @property
    def is_open(self) -> bool:
        """Say whether a message is queued or started, and not done."""
        return bool(self._open)

    def follow(self, frame: Frame) -> None:
        """Take note of a frame of this TYPE, or of another one."""
        uuid = str(frame.get("command_uuid"))
        if frame.get("state") in ("queued", "started"):
            self._open.add(uuid)
        else:
            self._open.discard(uuid)
