"""The Claude Code binaries that the tests run: the current one, and others from npm."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from wrapper.services.claude.processes.compatibility import OLDEST_VERSION as OLDEST

PACKAGE = "@anthropic-ai/claude-code"
OLD_VERSION = "2.1.197"  # too old: it cannot take text verbatim
OLDEST_VERSION = ".".join(map(str, OLDEST))
# Holds a folder for each version that was installed.
CACHE = Path(__file__).parents[2] / ".envs" / "clis"
INSTALL_SECONDS = 240.0
ASK_SECONDS = 20.0


class Unavailable(Exception):
    """Raised if a version cannot be had. The text says what is missing."""


def current() -> str:
    """Return the binary to test: CLAUDE_CLI_PATH, the pinned one, or the one in the PATH."""
    if chosen := os.environ.get("CLAUDE_CLI_PATH"):
        return chosen
    found = pinned() or shutil.which("claude")
    if not found:
        missing("claude program to test with: make install")
    return str(found)


def pinned() -> str | None:
    """Return the binary of the version that requirements-cli.txt pins, if it is installed."""
    spec = find_spec("claude_agent_sdk")
    if spec is None or not spec.submodule_search_locations:
        return None
    return str(Path(spec.submodule_search_locations[0], "_bundled", "claude"))


def version() -> str:
    """Return the version of the binary to test."""
    return version_of(current())


@cache
def version_of(binary: str) -> str:
    printed = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True)
    return printed.stdout.split()[0]


def newest() -> str:
    """Return the newest version on npm. Raises Unavailable."""
    return _npm("view", PACKAGE, "version", seconds=ASK_SECONDS)


def install(version: str) -> str:
    """Install this *version* into CACHE unless it is there, and return the binary's path.

    Raises Unavailable.
    """
    folder = CACHE / version
    binary = folder / "node_modules" / ".bin" / "claude"
    if not binary.exists():
        quiet = ("--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error")
        package = f"{PACKAGE}@{version}"
        _npm("install", *quiet, "--prefix", str(folder), package, seconds=INSTALL_SECONDS)
    return str(binary)


def installed(version: str) -> str:
    """Install this *version* for a test, which is skipped if it cannot be had, but not in CI."""
    try:
        return install(version)
    except Unavailable as error:
        missing(f"Claude Code {version}: {error}")
        raise


def missing(what: str) -> None:
    """Skip a test that needs *what*. In CI, where everything must be installed, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"there is no {what}")
    pytest.skip(f"there is no {what}")


def _npm(*arguments: str, seconds: float) -> str:
    """Return what npm prints. Raises Unavailable."""
    if not shutil.which("npm"):
        raise Unavailable("npm is not installed")
    try:
        done = subprocess.run(
            ["npm", *arguments], check=True, capture_output=True, text=True, timeout=seconds
        )
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"npm {arguments[0]} fails: {error.stderr.strip()[-300:]}") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"npm {arguments[0]} takes more than {seconds:g} s") from None
    return done.stdout.strip()
