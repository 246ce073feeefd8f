"""The Claude Code binaries that the tests run: the current one, and older ones."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from wrapper.services.claude.processes.profiles import OLDEST_VERSION as OLDEST

OLD_VERSION = "2.1.197"  # too old: it cannot take text verbatim
OLDEST_VERSION = ".".join(map(str, OLDEST))


def current() -> str:
    """Return the binary to test: CLAUDE_CLI_PATH, the installed one, or the one in the PATH."""
    if chosen := os.environ.get("CLAUDE_CLI_PATH"):
        return chosen
    spec = find_spec("claude_agent_sdk")
    if spec is None or not spec.submodule_search_locations:
        found = shutil.which("claude")
        if not found:
            missing("claude program to test with: make install")
        return str(found)
    return str(Path(spec.submodule_search_locations[0], "_bundled", "claude"))


def version() -> str:
    said = subprocess.run([current(), "--version"], capture_output=True, text=True, check=True)
    return said.stdout.split()[0]


def installed(version: str, folder: Path) -> str:
    """Install this *version* into *folder* unless it is there, and return the binary's path."""
    binary = folder / "node_modules" / ".bin" / "claude"
    if not binary.exists():
        if not shutil.which("npm"):
            missing("npm, which installs an older CLI")
        package = f"@anthropic-ai/claude-code@{version}"
        command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), package]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=50)
        except subprocess.SubprocessError as error:
            missing(f"{package} to be had from npm ({error})")
    return str(binary)


def missing(what: str) -> None:
    """Skip a test that needs *what*. In CI, where everything must be installed, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"there is no {what}")
    pytest.skip(f"there is no {what}")
