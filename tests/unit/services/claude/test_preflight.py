"""Preflight: a machine that cannot confine agents as asked is reported, with what to do."""

from __future__ import annotations

import os
import pwd
import tempfile
from pathlib import Path

import pytest

from tests.support import cli as clis
from wrapper.services.claude import preflight
from wrapper.services.claude.isolation import sandbox, unix_user
from wrapper.services.claude.processes import binary
from wrapper.services.usage.sqlite_store import SqliteUsageStore
from wrapper.settings import Settings, SettingsError

pytestmark = pytest.mark.linux  # elsewhere nothing confines agents: test_elsewhere.py

KEY = {"ANTHROPIC_API_KEY": "sk-something", "PATH": "/usr/bin:/bin"}
CLAUDE = "echo '2.1.330 (Claude Code)'"


def mistakes_of(environment=KEY, **settings) -> list[str]:
    try:
        preflight.check(Settings(**settings), environment)
    except SettingsError as error:
        return error.mistakes
    return []


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture(autouse=True)
def installed(tmp_path_factory, monkeypatch):
    """A Claude Code that may serve, in place of the bundled one."""
    folder = tmp_path_factory.mktemp("installed")
    program(folder, "claude", CLAUDE)
    monkeypatch.setattr(binary, "bundled", lambda: str(folder / "claude"))


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")  # noqa: S108 - its length is what counts


@pytest.fixture
def as_root():
    if os.geteuid() != 0:
        clis.missing("right to run processes as another user: be root")


@pytest.fixture
def outer(as_root):
    """A directory that other users can pass through."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture
def nobody(outer, monkeypatch):
    """Return a function for the mistakes of CLAUDE_USER=nobody with otherwise good settings."""
    monkeypatch.setattr(tempfile, "tempdir", str(outer))
    monkeypatch.chdir(outer)
    program(outer, "claude", CLAUDE)
    good = {
        "claude_user": "nobody",
        "claude_cli_path": str(outer / "claude"),
        "session_dir": str(outer / "sessions"),
        "usage_db": str(outer / "usage.db"),
    }
    return lambda environment=KEY, **settings: mistakes_of(environment, **{**good, **settings})


def test_nothing_asked():
    """Without settings that confine agents nothing is checked."""
    assert mistakes_of({}) == []


def test_no_claude():
    """A claude that may not serve is a mistake, beside those of the settings."""
    mistakes = mistakes_of(claude_cli_path="/nowhere/claude", claude_allowed_tools="Bash")
    assert [mistake.partition(":")[0] for mistake in mistakes] == [
        "CLAUDE_ALLOWED_TOOLS",
        "CLAUDE_CLI_PATH",
    ]


def test_mistakes_of_the_settings_too():
    """Mistakes in the settings alone are reported as well."""
    (mistake,) = mistakes_of(claude_allowed_tools="Bash")
    assert mistake.startswith("CLAUDE_ALLOWED_TOOLS: Bash would run")


@pytest.mark.parametrize(
    ("installed", "missing"),
    [((), "no bwrap and no socat"), (("bwrap",), "no socat"), (("socat",), "no bwrap")],
)
def test_packages_are_missing(short, tmp_path, installed, missing):
    """Without its programs the sandbox is a mistake, which names the packages."""
    for name in installed:
        program(tmp_path, name, "true")
    (mistake,) = mistakes_of({"PATH": str(tmp_path)}, claude_sandbox=True)
    assert mistake.startswith(f"CLAUDE_SANDBOX: there is {missing};")
    assert "apt-get install bubblewrap socat" in mistake


def test_namespaces_are_forbidden(short, tmp_path):
    """A sandbox that cannot be made is a mistake, with bubblewrap's message."""
    program(tmp_path, "socat", "true")
    program(tmp_path, "bwrap", "echo No permissions to create namespace >&2; exit 1")
    (mistake,) = mistakes_of({"PATH": f"{tmp_path}:/bin"}, claude_sandbox=True)
    assert "CLAUDE_SANDBOX" in mistake
    assert "(No permissions to create namespace)" in mistake


def test_a_sandbox_that_can_be_made(short):
    """A sandbox that works is no mistake."""
    if reason := sandbox.check(os.environ["PATH"], None):
        clis.missing(f"sandbox here: {reason}")
    assert mistakes_of({"PATH": os.environ["PATH"]}, claude_sandbox=True) == []


def test_a_long_temporary_directory(monkeypatch):
    """A path that is too long for the sandbox's sockets is reported at the start."""
    monkeypatch.setattr(tempfile, "tempdir", "/" + "x" * sandbox.LONGEST_TMPDIR)
    (mistake, *_) = mistakes_of(claude_sandbox=True)
    assert mistake.startswith("TMPDIR: /xxx")


def test_settings_of_the_sandbox_that_are_not_taken():
    """The sandbox is in force only if Claude Code says so itself."""
    taken = {"effective": {"sandbox": sandbox.sandbox(("A",))}}
    assert sandbox.in_force(taken)
    assert not sandbox.in_force({})
    assert not sandbox.in_force({"effective": {}})
    assert not sandbox.in_force({"effective": {"sandbox": {"enabled": True}}})


def test_no_such_user():
    """A name that no user has is reported."""
    (mistake,) = mistakes_of(claude_user="no-such-user")
    assert "useradd --system no-such-user" in mistake


def test_the_gateways_own_user():
    """The gateway's own user is refused, since it may read everything."""
    own = pwd.getpwuid(os.geteuid()).pw_name
    (mistake,) = mistakes_of(claude_user=own)
    assert mistake.startswith(f"CLAUDE_USER: {own} is root or the gateway's own user")


def test_without_the_right(monkeypatch):
    """Only root can run processes as another user."""
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    (mistake,) = mistakes_of(claude_user="nobody")
    assert "start the gateway as root" in mistake


def test_a_user_that_will_do(nobody):
    """A user that can access what it needs, and nothing else, is fine."""
    assert nobody() == []


def test_a_claude_that_cannot_be_run(nobody, outer):
    """A binary that the user cannot run is reported."""
    (outer / "claude").chmod(0o700)
    (mistake,) = nobody()
    assert mistake.startswith(
        f"CLAUDE_CLI_PATH: {outer}/claude cannot be run by nobody (CLAUDE_USER)"
    )


@pytest.mark.parametrize("setting", ["session_dir", "claude_cwd"])
def test_directories_that_cannot_be_entered(nobody, outer, setting):
    """A directory that the user cannot enter is reported, also if it is still to be made."""
    (outer / "shut").mkdir(mode=0o700)
    below = outer / "shut" / "below"
    if setting == "claude_cwd":
        below.mkdir()
    (mistake,) = nobody(**{setting: str(below)})
    assert mistake.startswith(f"{setting.upper()}: nobody (CLAUDE_USER) cannot enter")
    assert f"(chmod o+x {outer / 'shut'})" in mistake


def test_a_directory_that_the_gateway_itself_would_close(nobody, outer):
    """The usage database in the sessions' parent does not close it to the user."""
    given = {
        "session_dir": str(outer / "state" / "sessions"),
        "usage_db": str(outer / "state" / "usage.db"),
    }
    assert nobody(**given) == []
    SqliteUsageStore(given["usage_db"]).add([])
    assert nobody(**given) == []
    assert unix_user.find("nobody").can("x", given["session_dir"])


def test_a_directory_that_cannot_be_made(nobody, outer):
    """A directory for sessions that cannot be made is reported with its setting."""
    (outer / "file").write_text("")
    (mistake,) = nobody(session_dir=str(outer / "file" / "sessions"))
    assert mistake.startswith("SESSION_DIR: ")
    assert "cannot be made" in mistake


@pytest.mark.parametrize(
    ("name", "setting"),
    [("keys.toml", "api_keys_file"), ("usage.db", "usage_db"), (".env", None)],
)
def test_files_that_can_be_read(nobody, outer, name, setting):
    """A file of the gateway's that the user could read is reported; mode 600 is fine."""
    path = outer / name
    path.write_text("")
    given = {setting: str(path)} if setting else {}
    path.chmod(0o644)
    (mistake,) = nobody(**given)
    assert mistake.endswith(f"chmod 600 {path}")
    path.chmod(0o600)
    assert nobody(**given) == []


def test_a_login_that_cannot_be_read(nobody):
    """Another user cannot use a login in the gateway's home, but a token."""
    (mistake,) = nobody({"PATH": "/usr/bin", "HOME": "/root"})
    assert "set CLAUDE_CODE_OAUTH_TOKEN" in mistake
    assert nobody({"PATH": "/usr/bin", "CLAUDE_CODE_OAUTH_TOKEN": "t"}) == []


def test_owning_a_link(outer):
    """A link becomes the user's, but not its target."""
    kept, link = outer / "kept", outer / "link"
    kept.write_text("")
    link.symlink_to(kept)
    user = unix_user.find("nobody")
    user.own(link)
    assert link.lstat().st_uid == user.uid
    assert kept.stat().st_uid == 0


@pytest.mark.parametrize(
    "setting", ["claude_cli_path", "files_dir", "usage_db", "session_dir", "tmp", "cwd"]
)
def test_what_the_user_could_replace(nobody, outer, setting, monkeypatch):
    """What root runs, reads or writes may not be where the user can replace it."""
    theirs = outer / "theirs"
    theirs.mkdir()
    program(theirs, "claude", CLAUDE)
    os.chown(theirs, unix_user.find("nobody").uid, -1)
    theirs.chmod(0o755)
    given = {
        "claude_cli_path": {"claude_cli_path": str(theirs / "claude")},
        "files_dir": {"files_dir": str(theirs / "files")},
        "usage_db": {"usage_db": str(theirs / "deep" / "usage.db")},
        "session_dir": {"session_dir": str(theirs / "sessions")},
    }.get(setting, {})
    if setting == "tmp":
        monkeypatch.setattr(tempfile, "tempdir", str(theirs))
    if setting == "cwd":
        monkeypatch.chdir(theirs)
    name = {"tmp": "TMPDIR", "cwd": ".env"}.get(setting, setting.upper())
    (mistake,) = nobody(**given)
    assert mistake.startswith(f"{name}: nobody (CLAUDE_USER) can write to {theirs}")
    theirs.chmod(0o1777)
    os.chown(theirs, 0, 0)
    assert nobody(**given) == []


def test_a_link_to_what_the_user_could_replace(nobody, outer):
    """For a program behind a link its real path counts."""
    theirs = outer / "theirs"
    theirs.mkdir()
    program(theirs, "claude", CLAUDE)
    os.chown(theirs / "claude", unix_user.find("nobody").uid, -1)
    (outer / "link").symlink_to(theirs / "claude")
    (mistake,) = nobody(claude_cli_path=str(outer / "link"))
    assert f"can write to {outer / 'link'}" in mistake
