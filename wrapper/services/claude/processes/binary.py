"""The claude binary: the first installed one that is good enough."""

from __future__ import annotations

import functools
import importlib.util
import logging
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wrapper.services.claude.errors import BootFailed, Refused
from wrapper.services.claude.isolation import unix_user
from wrapper.services.claude.isolation.unix_user import UnixUser
from wrapper.services.claude.processes import compatibility
from wrapper.services.claude.processes.profiles import HOW_TO_UPDATE
from wrapper.settings import Settings

SETTING = "CLAUDE_CLI_PATH"
PACKAGE = "claude-agent-sdk"
NAME = "claude"
# What a program may write before it counts as no Claude Code.
SHOWN_CHARACTERS = 200

log = logging.getLogger(__name__)

_VERSION = re.compile(r"\d+\.\d+\.\d+\S*")
Stamp = tuple[int, ...]


class NoBinary(BootFailed):
    """Raised if a program may not serve, or none may. The details say why, and have its path."""

    def __init__(self, details: str):
        super().__init__("No Claude Code that may serve is installed.", details)


@dataclass(frozen=True)
class Binary:
    """A `claude` that may serve. `source` is CLAUDE_CLI_PATH, PATH or the package's name.

    `rejected` says why those before it may not serve.
    """

    path: str
    version: str
    source: str
    rejected: tuple[str, ...] = ()
    stamp: Stamp = field(default=(), repr=False)

    def __str__(self) -> str:
        return f"Claude Code {self.version} at {self.path} (from {self.source})"

    def is_current(self) -> bool:
        """Say whether the program is still the one whose version was read."""
        return self.stamp == _stamp(self.path)


class Installation:
    """Chooses the binary on first use, and again once that has changed or is gone."""

    def __init__(self, settings: Settings, environment: Mapping[str, str]):
        self._settings = settings
        self._environment = environment
        self._lock = threading.Lock()
        self._binary: Binary | None = None

    def binary(self) -> Binary:
        """Return the binary that processes run. Raises NoBinary."""
        with self._lock:
            if self._binary is None or not self._binary.is_current():
                self._binary = choose(self._settings, self._environment)
                for reason in self._binary.rejected:
                    log.warning("passed over, and %s is used: %s", self._binary, reason)
            return self._binary


def choose(settings: Settings, environment: Mapping[str, str]) -> Binary:
    """Return CLAUDE_CLI_PATH, or else the first good one in PATH and claude-agent-sdk.

    It runs each for its version, as CLAUDE_USER if that is set. Raises NoBinary.
    """
    rejected: list[str] = []
    for source, path in _candidates(settings, environment):
        try:
            version = _version(path, settings, environment)
            compatibility.check_versions(settings, version)
        except Refused as error:
            rejected.append(f"{path}: {error}")
        except NoBinary as error:
            rejected.append(error.details)
        else:
            return Binary(path, version, source, tuple(rejected), _stamp(path))
    raise NoBinary(_advice(settings, rejected))


def bundled() -> str | None:
    """Return the binary in the package claude-agent-sdk, without importing that."""
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    for folder in spec.submodule_search_locations or () if spec else ():
        binary = Path(folder, "_bundled", NAME)
        if os.access(binary, os.X_OK):
            return str(binary)
    return None


def _candidates(settings: Settings, environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the source and path of each program that may be the one to run, in order."""
    if settings.claude_cli_path:
        yield SETTING, settings.claude_cli_path
        return
    folders = environment.get("PATH", os.defpath).split(os.pathsep)
    for folder in dict.fromkeys(folders):
        if path := shutil.which(NAME, path=folder):
            yield "PATH", path
    if path := bundled():
        yield PACKAGE, path


def _advice(settings: Settings, rejected: list[str]) -> str:
    """Return why there is no binary, and what to do."""
    reasons = "; ".join(rejected)
    if settings.claude_cli_path:
        return (
            f"{SETTING}: {reasons}. To do: correct the path, or remove the setting; then the "
            f"gateway uses the claude in the PATH, or the one in {PACKAGE}"
        )
    if rejected:
        return f"{SETTING}: not set, and no claude may serve: {reasons}. To do: {HOW_TO_UPDATE}"
    return (
        f"{SETTING}: not set, and there is no claude in the PATH or in {PACKAGE}. "
        f"To do: {HOW_TO_UPDATE}"
    )


def _version(path: str, settings: Settings, environment: Mapping[str, str]) -> str:
    """Return the version that the program prints. Raises NoBinary."""
    if not os.path.exists(path):
        raise NoBinary(f"{path} does not exist")
    if not os.access(path, os.X_OK) or os.path.isdir(path):
        raise NoBinary(f"{path} is not a program that can be run")
    user = unix_user.find_optional(settings.claude_user)
    search = environment.get("PATH", os.defpath)
    return _read_version(path, _stamp(path), search, settings.boot_timeout, user)


# Errors are not cached, so a program that has failed once is run again.
@functools.lru_cache(16)
def _read_version(
    path: str, stamp: Stamp, search: str, seconds: float, user: UnixUser | None
) -> str:
    """Run the program that had this *stamp*. It sees nothing of the environment but *search*."""
    as_user = user.spawning if user else {}
    try:
        done = subprocess.run(
            [path, "--version"],
            cwd="/",
            env={"PATH": search},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            **as_user,
        )
    except subprocess.TimeoutExpired:
        why = f"{path} --version did not end within {seconds:g} s (BOOT_TIMEOUT)"
        raise NoBinary(why) from None
    except OSError as error:
        raise NoBinary(_cannot_run(path, user, error)) from None
    return _parse(path, done)


def _parse(path: str, done: subprocess.CompletedProcess[bytes]) -> str:
    written = " ".join((done.stdout or done.stderr).decode(errors="replace").split())
    shown = repr(written[:SHOWN_CHARACTERS]) if written else "nothing"
    if done.returncode:
        raise NoBinary(f"{path} --version ended with exit code {done.returncode}, writing {shown}")
    version = written.partition(" ")[0]
    if not _VERSION.fullmatch(version):
        raise NoBinary(f"{path} is not Claude Code: --version wrote {shown}")
    return version


def _cannot_run(path: str, user: UnixUser | None, error: OSError) -> str:
    if user is None:
        return f"{path} cannot be run: {error.strerror}"
    return (
        f"{user.name} (CLAUDE_USER) cannot run {path} ({error.strerror}); install Claude Code "
        "where it can, or let it pass through the directories above"
    )


def _stamp(path: str) -> Stamp:
    """Return what changes when the program is replaced, nothing if it is gone."""
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns
