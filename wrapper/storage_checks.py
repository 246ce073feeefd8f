"""Check the stores and the directories of the settings. Nothing is left in them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from wrapper.services import sqlite_file
from wrapper.services.redis_client import RedisClient
from wrapper.services.store_health import StoreFailed
from wrapper.settings import FILES_DIR, Settings


class Level(StrEnum):
    """WARNING: the gateway serves, but something is missing. FAILED: it cannot serve."""

    OK = "ok"
    WARNING = "WARNING"
    FAILED = "FAILED"


@dataclass(frozen=True)
class Finding:
    """The result of one check. If its level is not OK, the message says why and what to do."""

    subject: str
    level: Level
    message: str

    def __str__(self) -> str:
        return f"{self.level:<7} {self.subject}: {' '.join(self.message.split())}"


def check_storage(settings: Settings) -> Iterator[Finding]:
    """Check where the gateway keeps files, usage and sessions."""
    yield from _passed_over()
    yield _agents_directory(settings)
    yield _usage(settings)
    if settings.files_dir or "://" not in settings.session_store:
        yield _directory(
            "FILES_DIR", Path(settings.files_dir or FILES_DIR), "uploads of files are refused"
        )
    yield _shared_store(settings)


def check_temporary_directory() -> Finding:
    """Check the directory for temporary files, without which no gateway starts."""
    try:
        used = tempfile.gettempdir()
        _write_in(Path(used))
    except OSError as error:
        remedy = "free space or make it writable, or set TMPDIR to another directory"
        return Finding("TMPDIR", Level.FAILED, f"{_reason(error)}; {remedy}")
    return Finding("TMPDIR", Level.OK, f"{used} can be written")


def _passed_over() -> Iterator[Finding]:
    """Yield a warning if Python uses another directory than TMPDIR, which it cannot write."""
    chosen = os.environ.get("TMPDIR")
    try:
        used = tempfile.gettempdir()
    except FileNotFoundError:  # see check_temporary_directory
        return
    if chosen and Path(chosen).resolve() != Path(used).resolve():
        why = f"{chosen} cannot be written, so {used} is used; make it writable, or set another"
        yield Finding("TMPDIR", Level.WARNING, why)


def _agents_directory(settings: Settings) -> Finding:
    """Check CLAUDE_CWD, or else SESSION_DIR, which is made on first use."""
    if settings.claude_cwd:
        setting, folder = "CLAUDE_CWD", Path(settings.claude_cwd)
        effect = "agents cannot write there"
    else:
        setting, folder = "SESSION_DIR", Path(settings.session_dir)
        effect = "agents' turns of sessions are refused"
    return _directory(setting, folder, effect)


def _directory(setting: str, folder: Path, effect: str) -> Finding:
    """Check a directory, which is made on first use; without it there is an *effect*."""
    try:
        folder = folder.expanduser().absolute()
        _write_in(_nearest(folder))
    except (OSError, RuntimeError) as error:
        remedy = f"permit user {os.geteuid()} to write there, or set another directory"
        why = f"{folder}: {_reason(error)}, so {effect}; {remedy}"
        return Finding(setting, Level.WARNING, why)
    return Finding(setting, Level.OK, f"{folder} can be written")


def _usage(settings: Settings) -> Finding:
    required = settings.usage_required
    effect = "turns are refused (USAGE_REQUIRED)" if required else "usage waits in memory"
    level = Level.FAILED if required else Level.WARNING
    if settings.redis_url:
        return _redis("REDIS_URL", settings.redis_url, f"{effect} and rates do not count", level)
    return _sqlite("USAGE_DB", settings.usage_db, effect, level)


def _sqlite(setting: str, name: str, effect: str, level: Level) -> Finding:
    """Check an SQLite file, which is made on first use; without it there is an *effect*."""
    path = Path(name)
    try:
        path = path.expanduser().absolute()
        if path.exists():
            sqlite_file.check(path, setting)
        else:
            _write_in(_nearest(path.parent))
    except (OSError, RuntimeError, StoreFailed) as error:
        why = error.details.removeprefix(f"{setting}: ") if isinstance(error, StoreFailed) else None
        remedy = sqlite_file.OTHER_REMEDY.format(setting=setting)
        why = why or f"{_reason(error)}; {remedy} ({path})"
        return Finding(setting, level, f"{why}; until then {effect}")
    return Finding(setting, Level.OK, f"{path} can be written")


def _shared_store(settings: Settings) -> Finding:
    """Check the Redis of SESSION_STORE, or else JOBS_DB."""
    if "://" in (store := settings.session_store):
        effect = "sessions and stored responses are refused"
        return _redis("SESSION_STORE", store, effect, Level.WARNING)
    effect = "background responses and batches are refused"
    return _sqlite("JOBS_DB", settings.jobs_db, effect, Level.WARNING)


def _redis(setting: str, url: str, effect: str, level: Level) -> Finding:
    client = RedisClient(url, setting)
    try:
        with client.reached() as redis:
            redis.ping()
    except StoreFailed as error:
        why = error.details.removeprefix(f"{setting}: ")
        return Finding(setting, level, f"{why}; until then {effect}")
    finally:
        client.close()
    return Finding(setting, Level.OK, "Redis answers")


def _nearest(folder: Path) -> Path:
    """Return *folder* or, if it is missing, the nearest directory above it that is there."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _write_in(folder: Path) -> None:
    """Write a file that nobody sees into *folder*. Raises OSError."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"x")
        file.flush()


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
