"""The files: which paths lie in the agent's directory, once all links are followed."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator
from pathlib import Path

from wrapper.services.permissions.readonly.syntax import NULL, Denied, Word

MOST_ENTRIES = 10_000
MOST_MATCHES = 1000


class Files:
    """The files below *root*, named from there or from *here*, a directory below it."""

    def __init__(self, root: str, here: str | None = None):
        self.root = os.path.realpath(root)
        self.here = here or self.root
        self._entries = 0

    def enter(self, word: Word) -> Files:
        """Return the files as they are named from the directory *word*. Raises Denied."""
        path, *_ = self.expand(word)
        inner = os.path.realpath(os.path.join(self.here, path))
        if not os.path.isdir(inner):
            raise Denied(f"{path} is not a directory")
        return Files(self.root, inner)

    def expand(self, word: Word) -> list[str]:
        """Return the paths that *word* names. Raises Denied where one lies elsewhere."""
        paths = self._matches(word.pattern) if word.pattern else []
        paths = paths or [word.text]
        for path in paths:
            self.check(path)
        return paths

    def check(self, path: str) -> None:
        """Raise Denied where *path* leads out of the directory."""
        if path == NULL:
            return
        found = os.path.realpath(os.path.join(self.here, path))
        if found != self.root and not found.startswith(self.root.rstrip("/") + "/"):
            raise Denied(
                f"{path} lies outside of the working directory, or is a link that leads out of it"
            )

    def check_regular(self, path: str) -> None:
        """Raise Denied where *path* is a directory: some commands look into those for links."""
        if os.path.isdir(os.path.join(self.here, path)):
            raise Denied(f"{path} is a directory; name files")

    def has_repository(self) -> bool:
        """Say whether a repository of git's stands right in the directory, and is no link."""
        # By its listed name: where case does not count, an agent could make one named .GIT.
        with os.scandir(self.root) as entries:
            return any(e.name == ".git" and e.is_dir(follow_symlinks=False) for e in entries)

    def _matches(self, pattern: str) -> list[str]:
        """Return, sorted, what *pattern* matches, as the shell would find it."""
        start = "/" if pattern.startswith("/") else ""
        found = [start]
        for part in pattern.strip("/").split("/"):
            found = [path for base in found for path in self._inside(base, part)]
            if len(found) > MOST_MATCHES:
                raise Denied(f"{pattern} matches more than {MOST_MATCHES} files")
        return sorted(path + "/" for path in found) if pattern.endswith("/") else sorted(found)

    def _inside(self, base: str, part: str) -> Iterator[str]:
        folder = Path(self.here, base)
        if not any(sign in part for sign in "*?["):
            if os.path.lexists(folder / part):
                yield os.path.join(base, part)
            return
        for name in self._names(folder):
            hidden = name.startswith(".") and not part.startswith(".")
            if not hidden and fnmatch.fnmatchcase(name, part):
                yield os.path.join(base, name)

    def _names(self, folder: Path) -> Iterator[str]:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    self._entries += 1
                    if self._entries > MOST_ENTRIES:
                        raise Denied("wildcards here go through too many files; use find or Glob")
                    if entry.name.isprintable():
                        yield entry.name
        except OSError:
            return
