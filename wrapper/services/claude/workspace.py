"""The workspace: the directory below CLAUDE_CWD that belongs to one caller among several."""

from __future__ import annotations

from pathlib import Path

from wrapper.errors import Unavailable
from wrapper.services.turn import Turn


def workspace_of(turn: Turn, shared: str) -> str | None:
    """Return where *turn* is to work, made where it is missing; None where its process is.

    *shared* is CLAUDE_CWD, or empty where each process works in a directory of its own. Raises
    Unavailable when the directory cannot be had.
    """
    if not (shared and turn.principal.shares) or turn.profile == "plain":
        return None
    folder = Path(shared).resolve() / turn.principal.name
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"The working directory cannot be made: {error.strerror}.") from None
    if folder.is_symlink():  # it would lead into another's
        raise Unavailable("The working directory is a link; its operator must mend that.")
    return str(folder)
