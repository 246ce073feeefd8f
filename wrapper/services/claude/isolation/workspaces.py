"""The workspaces: the directories in which agents work, where it is not their process's own."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from wrapper.errors import Unavailable
from wrapper.services.claude.isolation import reaper
from wrapper.services.claude.isolation.unix_user import PASSABLE, UnixUser
from wrapper.services.turn import SessionKey, Turn

# What a session is called by its store, and may name a directory.
_UID = re.compile(r"[0-9A-Za-z-]{1,64}")


class Workspaces:
    """The directories of callers, below *shared*, or of sessions, below *sessions*.

    *shared* is CLAUDE_CWD, or empty where each process works in a directory of its own. A session's
    directory is kept for *seconds* of *clock* after its last turn. *user* is whose they are, if not
    the gateway's.
    """

    def __init__(
        self,
        shared: str,
        sessions: str,
        seconds: float,
        clock: Callable[[], float] = time.time,
        user: UnixUser | None = None,
    ):
        # Resolved once: no link that an agent makes later is followed.
        self._shared = Path(shared).resolve() if shared else None
        self._sessions = Path(sessions).expanduser().resolve()
        self._seconds = seconds
        self._clock = clock
        self._user = user

    def of(self, turn: Turn) -> str | None:
        """Return where *turn* is to work, made where it is missing; None where its process is.

        Raises Unavailable when the directory cannot be had.
        """
        if turn.profile == "plain":
            return None
        if self._shared:
            folder = self._shared / turn.principal.name
            return self._make(folder) if turn.principal.shares else None
        if turn.session is None:
            return None
        return self._make(self._folder(turn.session), self._clock())

    def forget(self, session: SessionKey) -> None:
        """Remove a session's directory; harmless where there is none."""
        reaper.remove(self._folder(session))

    def remove_expired(self) -> None:
        """Remove the directories of sessions whose last turn is too long ago."""
        oldest = self._clock() - self._seconds
        with suppress(OSError):
            for folder in os.scandir(self._sessions):
                if folder.stat(follow_symlinks=False).st_mtime < oldest:
                    reaper.remove(Path(folder.path))

    def _folder(self, session: SessionKey) -> Path:
        if not _UID.fullmatch(session.uid):
            raise Unavailable("The session's store gave it a name that none can have.")
        return self._sessions / session.uid

    def _make(self, folder: Path, now: float | None = None) -> str:
        """Return *folder*, made where it is missing, and used *now* if that is said."""
        try:
            make_parent(folder.parent, self._user)
            with reaper.opened(folder.parent) as above:
                with suppress(FileExistsError):
                    os.mkdir(folder.name, 0o700, dir_fd=above)
                with reaper.opened(folder.name, above) as descriptor:
                    self._settle(descriptor, now)
        except OSError as error:
            if folder.is_symlink():  # it would lead into another's
                why = "The working directory is a link; its operator must mend that."
            else:
                why = f"The working directory cannot be made: {error.strerror}."
            raise Unavailable(why) from None
        return str(folder)

    def _settle(self, folder: int, now: float | None) -> None:
        """Give the user an open directory, and say when it was used."""
        if self._user:
            os.fchown(folder, self._user.uid, self._user.gid)
        if now is not None:
            os.utime(folder, (now, now))


def make_parent(folder: Path, user: UnixUser | None) -> None:
    """Make the directory that workspaces are in, where it is missing, and those above it.

    Whatever the umask is, *user* can go through those that are made.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)
        if user:
            one.chmod(PASSABLE)
