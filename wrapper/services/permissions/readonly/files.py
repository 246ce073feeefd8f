"""The files of the agent's directory, checked after all links are followed."""

from __future__ import annotations

import fnmatch
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from wrapper.services.permissions.readonly.syntax import NULL, Denied, Word

MOST_ENTRIES = 10_000
MOST_MATCHES = 1000


class Files:
    """The files below *root*, with paths relative to *here*, which is *root* or below it."""

    def __init__(self, root: str, here: str | None = None):
        self.root = os.path.realpath(root)
        self.here = here or self.root
        self._entries = 0

    def enter(self, word: Word) -> Files:
        """Return the files relative to the directory *word*. Raises Denied."""
        path, *_ = self.expand(word)
        inner = os.path.realpath(os.path.join(self.here, path))
        if not os.path.isdir(inner):
            raise Denied(f"{path} is not a directory")
        return Files(self.root, inner)

    def expand(self, word: Word) -> list[str]:
        """Return the paths that *word* names. Raises Denied if one leads out of the directory."""
        paths = self._matches(word.pattern, word.text) if word.pattern else []
        paths = paths or [word.text]
        for path in paths:
            self.check(path, word.text)
        return paths

    def check(self, path: str, named: str = "") -> None:
        """Raise Denied if *path*, which the agent has *named* so, leads out of the directory."""
        if path == NULL:
            return
        real = os.path.realpath(os.path.join(self.here, path))
        if real != self.root and not real.startswith(self.root.rstrip("/") + "/"):
            name = named or path
            raise Denied(f"{name} is outside of the working directory, or a link leads out of it")

    def check_regular(self, path: str) -> None:
        """Raise Denied if *path* is a directory: some commands follow links in it."""
        if os.path.isdir(os.path.join(self.here, path)):
            raise Denied(f"{path} is a directory; name files")

    def has_repository(self) -> bool:
        """Say whether the directory has its own git repository, which is not a link."""
        # Compare listed names: on a case-insensitive file system an agent could create .GIT.
        with os.scandir(self.root) as entries:
            return any(e.name == ".git" and e.is_dir(follow_symlinks=False) for e in entries)

    def _matches(self, pattern: str, named: str) -> list[str]:
        """Return the sorted paths that *pattern* matches in a shell.

        Raises Denied before it looks into a directory outside: matches would say what is there.
        """
        parts = pattern.strip("/").split("/")
        literal = [*itertools.takewhile(lambda part: not _is_wild(part), parts)]
        start = "/" if pattern.startswith("/") else ""
        paths = [start + "/".join(literal)]
        for part in parts[len(literal) :]:
            bases = [path for path in paths if os.path.isdir(os.path.join(self.here, path))]
            for base in bases:
                self.check(base, named)
            paths = [path for base in bases for path in self._inside(base, part)]
            if len(paths) > MOST_MATCHES:
                raise Denied(f"{pattern} matches more than {MOST_MATCHES} files")
        return sorted(path + "/" for path in paths) if pattern.endswith("/") else sorted(paths)

    def _inside(self, base: str, part: str) -> Iterator[str]:
        folder = Path(self.here, base)
        if not _is_wild(part):
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
                        raise Denied("the wildcards go through too many files; use find or Glob")
                    if entry.name.isprintable():
                        yield entry.name
        except OSError:
            return


def _is_wild(part: str) -> bool:
    return any(sign in part for sign in "*?[")
