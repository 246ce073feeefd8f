"""The login of Claude Code's own, lent to the gateway's processes and given back when renewed.

Processes read it through a link in a directory of the gateway's, which keeps everything else of
the user's configuration from them. Claude Code renews a login by replacing the file, and so the
link: unless that file is brought back, the user's own Claude Code is left with a token that has
been used up. Its content is copied and never looked at.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from contextlib import suppress
from pathlib import Path


class LentLogin:
    """*original* is where the user's Claude Code keeps the login, be it there or not."""

    def __init__(self, original: Path, config: Path):
        self.config = config
        self._original = original
        self._lent = config / original.name
        self._lock = threading.Lock()
        self._link()

    def give_back(self) -> None:
        """Bring a login that was renewed here back to its owner, and lend it anew."""
        with self._lock:
            if self._lent.is_symlink() or not self._lent.exists():
                return
            self._restore()
            self._link()

    def _restore(self) -> None:
        """Replace the original in one step, so that whoever reads it finds it whole."""
        handle, name = tempfile.mkstemp(dir=self._original.parent, prefix=".renewed-")
        os.close(handle)
        try:
            # Where a link has taken its place meanwhile nothing is brought back.
            lent = os.open(self._lent, os.O_RDONLY | os.O_NOFOLLOW)
            with open(lent, "rb") as source, open(name, "wb") as target:
                shutil.copyfileobj(source, target)
            os.replace(name, self._original)
        except OSError:
            with suppress(OSError):
                os.unlink(name)
            raise

    def _link(self) -> None:
        fresh = self._lent.with_suffix(".link")
        fresh.symlink_to(self._original)
        os.replace(fresh, self._lent)
