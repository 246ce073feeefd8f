"""Orphans: processes and directories of a gateway that died without cleaning up.

Each gateway process keeps what it has in a directory that bears its process id, and each
Claude Code process writes its own id there, so that whoever comes next can end it.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

PREFIX = "claude-gateway-"


def make_root(owner: int) -> Path:
    """Make the directory for what the gateway process *owner* starts."""
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{owner}-"))


def register(home: Path, pid: int) -> None:
    """Note in *home* that *pid* lives there, with its start time: ids are used again."""
    (home / "pid").write_text(f"{pid} {_start_time(pid)}")


def reap(owner: int) -> None:
    """End what the dead gateway process *owner* left running, and remove its directories."""
    for root in _roots(f"{PREFIX}{owner}-*"):
        _reap_root(root)


def reap_abandoned() -> None:
    """Do the same for every gateway process that is no longer there."""
    for root in _roots(f"{PREFIX}*"):
        owner = root.name.removeprefix(PREFIX).split("-")[0]
        if owner.isdigit() and not _running(int(owner)):
            _reap_root(root)


def _roots(pattern: str) -> list[Path]:
    found = Path(tempfile.gettempdir()).glob(pattern)
    return [root for root in found if not root.is_symlink() and root.stat().st_uid == os.getuid()]


def _reap_root(root: Path) -> None:
    for note in root.glob("*/pid"):
        pid, _, started = note.read_text().partition(" ")
        if started and started == _start_time(int(pid)):
            _end(int(pid))
    shutil.rmtree(root, ignore_errors=True)


def _end(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _running(pid: int) -> bool:
    """Say whether *pid* runs; where there is no /proc to tell, it may."""
    stat = _stat(pid)
    return stat[0] != "Z" if stat else not Path("/proc/self").exists()


def _start_time(pid: int) -> str:
    """Return when *pid* started, in the kernel's ticks, or nothing where that cannot be known."""
    stat = _stat(pid)
    return stat[19] if stat else ""


def _stat(pid: int) -> list[str]:
    """Return the kernel's fields of *pid* from its state on, or nothing."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
