"""The changes: where the model gets messages in another form than the client sent them in."""

from __future__ import annotations

from wrapper.errors import InvalidRequest


class Changes:
    """Collects the paths of what is changed. What the session held before is named session_id.

    If *strict*, a change raises InvalidRequest instead, unless it is of what was said before.
    """

    def __init__(self, *, strict: bool = False):
        self._strict = strict
        self._paths: dict[str, None] = {}

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(self._paths)

    def note(self, index: int, key: str, why: str, *, mendable: bool = False) -> None:
        """Note a change of message *index*, below zero for one of the session's.

        One that is *mendable* the client could still prevent, also in its session.
        """
        if self._strict and (index >= 0 or mendable):
            raise refusal(index, key, why)
        self._paths[f"messages.{index}.{key}" if index >= 0 else "session_id"] = None


def refusal(index: int, key: str, why: str) -> InvalidRequest:
    """Return the error for message *index*, below zero for one that the session held before."""
    if index < 0:
        text = f"messages: in the session, {why}"
        return InvalidRequest(text, param="messages", code="invalid_value")
    param = f"messages.{index}.{key}"
    return InvalidRequest(f"{param}: {why}", param=param, code="invalid_value")
