"""The directories that agents work in, if those are not their process's own."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from wrapper.errors import Unavailable
from wrapper.services.claude.isolation import reaper, unix_user
from wrapper.services.claude.isolation.unix_user import PASSABLE, UnixUser
from wrapper.services.turn import SessionKey, Turn
from wrapper.settings import Settings

# The uids that a session's store may give; each one names a directory.
_UID = re.compile(r"[0-9A-Za-z-]{1,64}")


class Workspaces:
    """The directories of callers, below *shared*, or else of sessions, below *sessions*.

    *shared* is CLAUDE_CWD, or empty if each process works in a directory of its own. A session's
    directory is kept for *seconds* of *clock* after its last turn. Directories belong to *user*, if
    that is not the gateway's.
    """

    def __init__(
        self,
        shared: str,
        sessions: str,
        seconds: float,
        clock: Callable[[], float] = time.time,
        user: UnixUser | None = None,
    ):
        # Resolved once, so that no link that an agent makes later is followed.
        self._shared = Path(shared).resolve() if shared else None
        self._sessions = Path(sessions).expanduser().resolve()
        self._seconds = seconds
        self._clock = clock
        self._user = user

    def of(self, turn: Turn) -> str | None:
        """Return the directory that *turn* works in, None if that is its process's own.

        It is made if it is missing. Raises Unavailable if it cannot be.
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
        """Remove a session's directory, if there is one."""
        reaper.remove(self._folder(session))

    def keep(self, folders: Iterable[str]) -> None:
        """Keep the directories of sessions in which turns run, which may wait for approvals."""
        now = self._clock()
        for folder in () if self._shared else folders:
            with suppress(OSError):
                os.utime(folder, (now, now), follow_symlinks=False)

    def remove_expired(self) -> None:
        """Remove the directories of sessions whose last turn is too long ago."""
        oldest = self._clock() - self._seconds
        with suppress(OSError):
            for folder in os.scandir(self._sessions):
                if folder.stat(follow_symlinks=False).st_mtime < oldest:
                    reaper.remove(Path(folder.path))

    def _folder(self, session: SessionKey) -> Path:
        if not _UID.fullmatch(session.uid):
            raise Unavailable("The session's store gave it a uid that cannot name a directory.")
        return self._sessions / session.uid

    def _make(self, folder: Path, now: float | None = None) -> str:
        """Return *folder*, made if it is missing, and marked as used *now* if that is given."""
        try:
            make_parent(folder.parent, self._user)
            with reaper.opened(folder.parent) as above:
                with suppress(FileExistsError):
                    os.mkdir(folder.name, 0o700, dir_fd=above)
                with reaper.opened(folder.name, above) as descriptor:
                    self._mark(descriptor, now)
        except OSError as error:
            if folder.is_symlink():  # it could lead into another caller's directory
                reason = "The working directory is a link; the gateway's operator must remove it."
            else:
                reason = f"The working directory cannot be made: {error.strerror}."
            raise Unavailable(reason) from None
        return str(folder)

    def _mark(self, folder: int, now: float | None) -> None:
        """Set the owner and the time of last use of an open directory."""
        if self._user:
            os.fchown(folder, self._user.uid, self._user.gid)
        if now is not None:
            os.utime(folder, (now, now))


def open_workspaces(settings: Settings) -> Workspaces:
    """Return the directories that *settings* choose. Raises KeyError for an unknown CLAUDE_USER."""
    return Workspaces(
        settings.claude_cwd,
        settings.session_dir,
        settings.session_ttl + settings.max_timeout / 1000,
        user=unix_user.find_optional(settings.claude_user),
    )


def make_parent(folder: Path, user: UnixUser | None) -> None:
    """Make the directory that holds workspaces, and those above it, if they are missing.

    *user* can pass through those that are made, whatever the umask is.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
        if user:
            path.chmod(PASSABLE)
