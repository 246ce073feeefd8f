"""The checks of stores and directories, which leave nothing there."""

from __future__ import annotations

import errno
import os
import socket
import sqlite3
import tempfile

import pytest

from wrapper.services import sqlite_file
from wrapper.services.usage.sqlite_store import SqliteUsageStore
from wrapper.services.usage.store import Amounts, Row
from wrapper.settings import Settings
from wrapper.storage_checks import Finding, Level, check_storage, check_temporary_directory

ROW = Row("2026-11-26", "alice", "sonnet", Amounts(1))


@pytest.fixture
def settings(tmp_path):
    """Return a function that makes settings whose state is in a directory of the test's own."""

    def make(**changes):
        paths = {"usage_db": str(tmp_path / "u" / "usage.db"), "session_dir": str(tmp_path / "s")}
        paths["files_dir"] = str(tmp_path / "f")
        return Settings(**{**paths, **changes})

    return make


def found(settings):
    """Return the findings by their subjects."""
    return {finding.subject: finding for finding in check_storage(settings)}


def test_nothing_is_left(settings, tmp_path):
    """If all is well each check says so, and makes neither a directory nor the usage database."""
    findings = found(settings())
    assert {finding.level for finding in findings.values()} == {Level.OK}
    assert set(findings) == {"FILES_DIR", "JOBS_DB", "SESSION_DIR", "USAGE_DB"}
    assert check_temporary_directory().level is Level.OK
    assert list(tmp_path.iterdir()) == []


def test_usage_db_in_use(settings, tmp_path, monkeypatch):
    """A database that another process is writing is no fault, and keeps its rows."""
    monkeypatch.setattr(sqlite_file, "BUSY", 0.05)
    path = tmp_path / "usage.db"
    store = SqliteUsageStore(str(path))
    store.add([ROW])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert found(settings(usage_db=str(path)))["USAGE_DB"].level is Level.OK
    other.execute("ROLLBACK")
    other.close()
    assert store.read(ROW.day, ROW.day) == [ROW]
    store.close()


@pytest.mark.parametrize(
    ("required", "level", "effect"),
    [
        (False, Level.WARNING, "; until then usage waits in memory"),
        (True, Level.FAILED, "; until then turns are refused (USAGE_REQUIRED)"),
    ],
)
def test_usage_db_that_is_none(settings, tmp_path, required, level, effect):
    """A file of another kind is reported with what to do. It fails where usage is required."""
    path = tmp_path / "usage.db"
    path.write_text("My shopping list. " * 100)
    finding = found(settings(usage_db=str(path), usage_required=required))["USAGE_DB"]
    assert finding.level is level
    assert "file is not a database; move the file away" in finding.message
    assert finding.message.endswith(effect)


def test_usage_db_that_is_a_directory(settings, tmp_path):
    """A directory in the database's place is reported by its path."""
    finding = found(settings(usage_db=str(tmp_path)))["USAGE_DB"]
    assert finding.level is Level.WARNING
    assert str(tmp_path) in finding.message
    assert "set USAGE_DB to another" in finding.message


def test_usage_db_below_a_file(settings, tmp_path):
    """A database that cannot be made is reported before it is needed."""
    (tmp_path / "file").touch()
    finding = found(settings(usage_db=str(tmp_path / "file" / "usage.db")))["USAGE_DB"]
    assert finding.level is Level.WARNING
    assert finding.message.startswith("Not a directory; see that the file and its directory can")


def test_jobs_db(settings, tmp_path):
    """A JOBS_DB that cannot be used is a warning, which says what is refused."""
    (tmp_path / "jobs.db").write_bytes(b"no database at all" * 100)
    finding = found(settings(jobs_db=str(tmp_path / "jobs.db")))["JOBS_DB"]
    assert finding.level is Level.WARNING
    assert "move the file away" in finding.message
    assert finding.message.endswith("until then background responses and batches are refused")


def test_session_dir_below_a_file(settings, tmp_path):
    """A SESSION_DIR that cannot be made is a warning, since other turns do not need it."""
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "sessions"
    finding = found(settings(session_dir=str(folder)))["SESSION_DIR"]
    assert str(finding) == (
        f"WARNING SESSION_DIR: {folder}: Not a directory, so agents' turns of sessions are "
        f"refused; permit user {os.geteuid()} to write there, or set another directory"
    )


def test_claude_cwd(settings, tmp_path):
    """With CLAUDE_CWD that directory is checked, and SESSION_DIR is not used."""
    findings = found(settings(claude_cwd=str(tmp_path)))
    assert findings["CLAUDE_CWD"] == Finding("CLAUDE_CWD", Level.OK, f"{tmp_path} can be written")
    assert "SESSION_DIR" not in findings
    assert "agents cannot write there" in found(settings(claude_cwd="/proc"))["CLAUDE_CWD"].message


@pytest.fixture
def free_port():
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return trial.getsockname()[1]


@pytest.mark.parametrize("required", [False, True])
def test_redis_is_down(settings, free_port, required):
    """A Redis that is down is reported without its password; it fails where usage is required."""
    url = f"redis://:the-password@127.0.0.1:{free_port}/0"
    findings = found(settings(redis_url=url, session_store=url, usage_required=required))
    usage, sessions = findings["REDIS_URL"], findings["SESSION_STORE"]
    assert usage.level is (Level.FAILED if required else Level.WARNING)
    assert sessions.level is Level.WARNING
    for finding in (usage, sessions):
        assert finding.message.startswith("Redis cannot be reached; start it, or mend the URL (")
        assert "the-password" not in finding.message
    assert sessions.message.endswith("; until then sessions and stored responses are refused")
    assert "USAGE_DB" not in findings


def test_no_temporary_directory(monkeypatch):
    """Without any temporary directory the check fails."""

    def search():
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_get_default_tempdir", search)
    finding = check_temporary_directory()
    assert finding.level is Level.FAILED
    assert "set TMPDIR to another directory" in finding.message


def test_other_temporary_directory(settings, monkeypatch, tmp_path):
    """A TMPDIR that Python passed over is a warning that names the directory in its place."""
    monkeypatch.setenv("TMPDIR", "/proc")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    finding = found(settings())["TMPDIR"]
    assert finding.level is Level.WARNING
    assert finding.message.startswith(f"/proc cannot be written, so {tmp_path} is used")
