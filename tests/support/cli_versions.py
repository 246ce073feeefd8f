"""Run the tests marked `clis` on several versions of Claude Code.

python -m tests.support.cli_versions "pinned newest 2.1.302" ARGUMENTS_OF_PYTEST
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.support import cli

ROOT = Path(__file__).parents[2]
NEWEST = "newest"
# The whole difference of a golden body is printed.
PYTEST = (
    *(sys.executable, "-m", "pytest", "-q", "-m", "clis"),
    *("--tb=short", "-o", "verbosity_assertions=2"),
)
# Runs the tests on a binary, and says whether they pass.
Run = Callable[[str], bool]


def main(names: str, run: Run) -> int:
    """Run the tests on each version in *names*, separated by spaces. Return the exit status.

    A version is its number, `pinned`, `newest` or `oldest`. What fails on `newest` is a warning:
    npm may have it since today, and the gateway finds out by itself what it cannot rely on. With
    its number, the same version has to pass.
    """
    failed = [name for name in names.split() if not _passes(name, run)]
    return int(bool(failed))


def _passes(name: str, run: Run) -> bool:
    try:
        version, binary = _find(name)
    except cli.Unavailable as error:
        print(f"WARNING: Claude Code {name} is not tested: {error}", flush=True)
        return name == NEWEST
    if name == NEWEST and binary == cli.pinned():
        print(f"The newest Claude Code is {version}, the pinned one.", flush=True)
        return True
    print(f"Claude Code {version} ({name}):", flush=True)
    if run(binary):
        return True
    print(f"WARNING: Claude Code {version} differs; see the failures above.", flush=True)
    return name == NEWEST


def _find(name: str) -> tuple[str, str]:
    """Return the version and the binary with this name. Raises Unavailable."""
    pinned = cli.pinned()
    if pinned is None:
        raise cli.Unavailable("the pinned one is not installed; run make install")
    own = cli.version_of(pinned)
    if name == NEWEST:
        version = cli.newest()
    else:
        version = {"pinned": own, "oldest": cli.OLDEST_VERSION}.get(name, name)
    return version, pinned if version == own else cli.install(version)


def run(binary: str) -> bool:
    """Run the tests on *binary* with the arguments of the command line; see Run."""
    variables = {**os.environ, "CLAUDE_CLI_PATH": binary}
    return subprocess.run([*PYTEST, *sys.argv[2:]], cwd=ROOT, env=variables).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], run))
