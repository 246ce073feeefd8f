"""Make `import wrapper` find the package beside this one, whatever else has that name.

A directory with a `wrapper.py` of the user's can come before it on sys.path: `python -m`, gunicorn
and `flask --app` put the current directory there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

NAME = "wrapper"
DIRECTORY = Path(__file__).parents[1]


class Finder:
    """Finds the package first. It stays, because a server that reloads imports it again."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [str(DIRECTORY)]) if name == NAME else None


def check(modules: dict[str, ModuleType]) -> None:
    """Raise ImportError if another module of that name is already imported."""
    imported = modules.get(NAME)
    if imported is None:
        return
    file = getattr(imported, "__file__", None)
    if file is None or not Path(file).parents[1].samefile(DIRECTORY):
        raise ImportError(
            f"claude_code_gateway needs its package {NAME}, but {file or imported} is imported "
            "under that name; rename it"
        )


check(sys.modules)
sys.meta_path.insert(0, Finder)
