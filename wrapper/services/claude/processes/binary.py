"""The claude binary: the first installed one that is good enough."""

from __future__ import annotations

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

from cachetools import TTLCache, cached

from wrapper.services.claude.errors.engine_errors import BootFailed, Refused
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
# How long the answer of a program that has not changed is remembered.
CACHE_SECONDS = 60.0

log = logging.getLogger(__name__)

_VERSION = re.compile(r"\d+\.\d+\.\d+\S*")
Stamp = tuple[int, ...]
# Why binaries must not serve, by path and stamp.
Reasons = dict[tuple[str, Stamp], str]


class NoBinary(BootFailed):
    """Raised if a program may not serve, or none may. The details say why, and have its path."""

    def __init__(self, details: str):
        super().__init__("No Claude Code that may serve is installed.", details)


class Replaced(BootFailed):
    """Raised if a program is replaced before its process runs, which may then be another one."""

    def __init__(self, binary: Binary):
        super().__init__("Claude Code is being replaced.", f"{binary} was replaced")


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
        return self.stamp == stamp_of(self.path)


class Installation:
    """Chooses the binary on first use, and again once that has changed, is gone or was rejected.

    `unfit` says by path and stamp why binaries were rejected.
    """

    def __init__(self, settings: Settings, environment: Mapping[str, str]):
        self._settings = settings
        self._environment = environment
        self._lock = threading.Lock()
        self._binary: Binary | None = None
        self.unfit: Reasons = {}

    def reject(self, binary: Binary, reason: str) -> None:
        """Choose another binary from now on, until this one is replaced."""
        with self._lock:
            self.unfit[binary.path, binary.stamp] = reason
            if self._binary == binary:
                self._binary = None

    def binary(self) -> Binary:
        """Return the binary that processes run. Raises NoBinary."""
        with self._lock:
            if self._binary is None or not self._binary.is_current():
                self._binary = choose(self._settings, self._environment, self.unfit)
                for reason in self._binary.rejected:
                    log.warning("passed over, and %s is used: %s", self._binary, reason)
            return self._binary


def choose(
    settings: Settings, environment: Mapping[str, str], unfit: Reasons | None = None
) -> Binary:
    """Return CLAUDE_CLI_PATH, or else the first good one in PATH and claude-agent-sdk.

    It runs each for its version, as CLAUDE_USER if that is set. Those in *unfit* are passed over,
    which says why. Raises NoBinary.
    """
    rejected: list[str] = []
    for source, path in _candidates(settings, environment):
        try:
            version = _version(path, settings, environment)
            compatibility.check_version(version)
            stamp = stamp_of(path)
            if reason := (unfit or {}).get((path, stamp)):
                raise Refused(reason)
        except Refused as error:
            rejected.append(f"{path}: {error}")
        except NoBinary as error:
            rejected.append(error.details)
        else:
            return Binary(path, version, source, tuple(rejected), stamp)
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
        yield SETTING, os.path.abspath(os.path.expanduser(settings.claude_cli_path))
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
    version, why = _ask(path, stamp_of(path), search, settings.boot_timeout, user)
    if why:
        raise NoBinary(f"{path} {why}")
    return version


# The checks before the start ask several times, and a program may take long to fail.
@cached(TTLCache(16, CACHE_SECONDS), lock=threading.Lock())
def _ask(
    path: str, stamp: Stamp, search: str, seconds: float, user: UnixUser | None
) -> tuple[str, str]:
    """Return the version of the program that has this *stamp*, or else why there is none.

    The program sees nothing of the environment but *search*, the PATH.
    """
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
        return "", f"--version did not end within {seconds:g} s (BOOT_TIMEOUT)"
    except OSError as error:
        return "", _cannot_run(user, error)
    return _read_version(done)


def _read_version(done: subprocess.CompletedProcess[bytes]) -> tuple[str, str]:
    written = " ".join((done.stdout or done.stderr).decode(errors="replace").split())
    shown = repr(written[:SHOWN_CHARACTERS]) if written else "nothing"
    if done.returncode:
        return "", f"--version ended with exit code {done.returncode}, writing {shown}"
    version = written.partition(" ")[0]
    if not _VERSION.fullmatch(version):
        return "", f"is not Claude Code: --version wrote {shown}"
    return version, ""


def _cannot_run(user: UnixUser | None, error: OSError) -> str:
    if user is None:
        return f"cannot be run: {error.strerror}"
    return (
        f"cannot be run by {user.name} (CLAUDE_USER): {error.strerror}; install Claude Code where "
        "that user can, or let it pass through the directories above"
    )


def stamp_of(path: str) -> Stamp:
    """Return what changes when the program is replaced, nothing if it is gone."""
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns
