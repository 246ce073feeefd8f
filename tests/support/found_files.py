"""The files in a directory of a gateway that runs, and may remove them meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import filter as matching
from pathlib import Path


def files_in(folder: Path, pattern: str = "*") -> Iterator[Path]:
    """Yield all files below *folder* whose names match *pattern*."""
    for parent, _, names in os.walk(folder):  # which ignores directories that are gone
        yield from (Path(parent, name) for name in matching(names, pattern))
