"""The changes: the paths of messages that the model gets in another form than the client's."""

from __future__ import annotations

from wrapper.errors import InvalidRequest


class Changes:
    """Collects the paths of changes. A change in the session's messages is named session_id.

    If *strict*, a change raises InvalidRequest instead, unless it is in the session's messages.
    """

    def __init__(self, *, strict: bool = False):
        self._strict = strict
        self._paths: dict[str, None] = {}

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(self._paths)

    def note(self, index: int, key: str, why: str, *, mendable: bool = False) -> None:
        """Note a change of message *index*, which is below zero for the session's messages.

        A *mendable* change is one that the client can still prevent, even in its session.
        """
        if self._strict and (index >= 0 or mendable):
            raise refusal(index, key, why)
        self._paths[f"messages.{index}.{key}" if index >= 0 else "session_id"] = None


def refusal(index: int, key: str, why: str) -> InvalidRequest:
    """Return the error for message *index*, which is below zero for the session's messages."""
    if index < 0:
        text = f"messages: in the session, {why}"
        return InvalidRequest(text, param="messages", code="invalid_value")
    param = f"messages.{index}.{key}"
    return InvalidRequest(f"{param}: {why}", param=param, code="invalid_value")
