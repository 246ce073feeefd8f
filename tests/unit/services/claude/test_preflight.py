"""The footing: a machine that does not bear what the settings ask for is told of, with the mend."""

from __future__ import annotations

import os
import pwd
import tempfile
from pathlib import Path

import pytest

from tests.support import cli as clis
from wrapper.services.claude import preflight
from wrapper.services.claude.isolation import sandbox, unix_user
from wrapper.services.usage.sqlite_store import SqliteUsageStore
from wrapper.settings import Settings, SettingsError

KEY = {"ANTHROPIC_API_KEY": "sk-something", "PATH": "/usr/bin:/bin"}


def told(environment=KEY, **settings) -> list[str]:
    try:
        preflight.check(Settings(**settings), environment)
    except SettingsError as error:
        return error.mistakes
    return []


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")  # noqa: S108 - its length is what counts


@pytest.fixture
def as_root():
    if os.geteuid() != 0:
        clis.missing("right to run processes as another user: be root")


@pytest.fixture
def place(as_root):
    """A directory that other users can go through."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture
def nobody(place, monkeypatch):
    """Return what is told of CLAUDE_USER=nobody, where all is well but for what is given."""
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    monkeypatch.chdir(place)
    program(place, "claude", "true")
    good = {
        "claude_user": "nobody",
        "claude_cli_path": str(place / "claude"),
        "session_dir": str(place / "sessions"),
        "usage_db": str(place / "usage.db"),
    }
    return lambda environment=KEY, **settings: told(environment, **{**good, **settings})


def test_nothing_asked():
    """Without settings for it nothing is asked of the machine."""
    assert told({}) == []


def test_mistakes_of_the_settings_too():
    """What is wrong with the settings alone is told as well."""
    (mistake,) = told(claude_allowed_tools="Bash")
    assert mistake.startswith("CLAUDE_ALLOWED_TOOLS: Bash would run")


@pytest.mark.parametrize(
    ("there", "missing"),
    [((), "no bwrap and no socat"), (("bwrap",), "no socat"), (("socat",), "no bwrap")],
)
def test_packages_are_missing(short, tmp_path, there, missing):
    """A sandbox without its programs is no start, and the packages are named."""
    for name in there:
        program(tmp_path, name, "true")
    (mistake,) = told({"PATH": str(tmp_path)}, claude_sandbox=True)
    assert mistake.startswith(f"CLAUDE_SANDBOX: there is {missing};")
    assert "apt-get install bubblewrap socat" in mistake


def test_namespaces_are_forbidden(short, tmp_path):
    """A sandbox that cannot be made is no start, and what bubblewrap said is told."""
    program(tmp_path, "socat", "true")
    program(tmp_path, "bwrap", "echo No permissions to create namespace >&2; exit 1")
    (mistake,) = told({"PATH": f"{tmp_path}:/bin"}, claude_sandbox=True)
    assert "CLAUDE_SANDBOX" in mistake
    assert "(No permissions to create namespace)" in mistake


def test_a_sandbox_that_can_be_made(short):
    """Where bubblewrap works nothing is told."""
    if why := sandbox.check(os.environ["PATH"], None):
        clis.missing(f"sandbox here: {why}")
    assert told({"PATH": os.environ["PATH"]}, claude_sandbox=True) == []


def test_a_long_temporary_directory(monkeypatch):
    """A path that is too long for the sandbox's sockets is told of before a command fails."""
    monkeypatch.setattr(tempfile, "tempdir", "/" + "x" * sandbox.LONGEST_TMPDIR)
    (mistake, *_) = told(claude_sandbox=True)
    assert mistake.startswith("TMPDIR: /xxx")


def test_settings_of_the_sandbox_that_are_not_taken():
    """It counts as in force only where Claude Code says so itself."""
    taken = {"effective": {"sandbox": sandbox.sandbox(("A",))}}
    assert sandbox.in_force(taken)
    assert not sandbox.in_force({})
    assert not sandbox.in_force({"effective": {}})
    assert not sandbox.in_force({"effective": {"sandbox": {"enabled": True}}})


def test_no_such_user():
    """A name that nobody has is told."""
    (mistake,) = told(claude_user="no-such-user")
    assert "useradd --system no-such-user" in mistake


def test_the_gateways_own_user():
    """From its own user the gateway could keep nothing."""
    own = pwd.getpwuid(os.geteuid()).pw_name
    (mistake,) = told(claude_user=own)
    assert mistake.startswith(f"CLAUDE_USER: {own} is root or the gateway's own user")


def test_without_the_right(monkeypatch):
    """Who is not root cannot run processes as others."""
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    (mistake,) = told(claude_user="nobody")
    assert "start the gateway as root" in mistake


def test_a_user_that_will_do(nobody):
    """A user that gets to what it needs, and to nothing else, is fine."""
    assert nobody() == []


def test_a_claude_out_of_reach(nobody, place):
    """A binary that the user cannot run is told."""
    (place / "claude").chmod(0o700)
    (mistake,) = nobody()
    assert mistake.startswith("CLAUDE_CLI_PATH: nobody (CLAUDE_USER) cannot run")


@pytest.mark.parametrize("setting", ["session_dir", "claude_cwd"])
def test_directories_out_of_reach(nobody, place, setting):
    """A directory that the user cannot enter is reported, also if it is still to be made."""
    (place / "shut").mkdir(mode=0o700)
    below = place / "shut" / "below"
    if setting == "claude_cwd":
        below.mkdir()
    (mistake,) = nobody(**{setting: str(below)})
    assert mistake.startswith(f"{setting.upper()}: nobody (CLAUDE_USER) cannot enter")
    assert f"(chmod o+x {place / 'shut'})" in mistake


def test_a_directory_that_the_gateway_itself_would_shut(nobody, place):
    """A first start finds what a second one would: the books beside sessions do not shut them."""
    given = {
        "session_dir": str(place / "state" / "sessions"),
        "usage_db": str(place / "state" / "usage.db"),
    }
    assert nobody(**given) == []
    SqliteUsageStore(given["usage_db"]).add([])
    assert nobody(**given) == []
    assert unix_user.find("nobody").can("x", given["session_dir"])


def test_a_directory_that_cannot_be_made(nobody, place):
    """A directory for sessions that cannot be made is told, with the setting."""
    (place / "file").write_text("")
    (mistake,) = nobody(session_dir=str(place / "file" / "sessions"))
    assert mistake.startswith("SESSION_DIR: ")
    assert "cannot be made" in mistake


@pytest.mark.parametrize(
    ("name", "setting"),
    [("keys.toml", "api_keys_file"), ("usage.db", "usage_db"), (".env", None)],
)
def test_files_within_reach(nobody, place, name, setting):
    """A file of the gateway's that the user could read is told; one of mode 600 is fine."""
    path = place / name
    path.write_text("")
    given = {setting: str(path)} if setting else {}
    path.chmod(0o644)
    (mistake,) = nobody(**given)
    assert mistake.endswith(f"chmod 600 {path}")
    path.chmod(0o600)
    assert nobody(**given) == []


def test_a_login_out_of_reach(nobody):
    """A login in the gateway's home is none for another user; a token is."""
    (mistake,) = nobody({"PATH": "/usr/bin", "HOME": "/root"})
    assert "set CLAUDE_CODE_OAUTH_TOKEN" in mistake
    assert nobody({"PATH": "/usr/bin", "CLAUDE_CODE_OAUTH_TOKEN": "t"}) == []


def test_what_is_given_away(place):
    """A path becomes the user's, and what a link leads to does not."""
    kept, link = place / "kept", place / "link"
    kept.write_text("")
    link.symlink_to(kept)
    user = unix_user.find("nobody")
    user.own(link)
    assert link.lstat().st_uid == user.uid
    assert kept.stat().st_uid == 0


@pytest.mark.parametrize("setting", ["claude_cli_path", "usage_db", "session_dir", "tmp", "cwd"])
def test_what_the_user_could_replace(nobody, place, setting, monkeypatch):
    """What root runs, reads or writes may not lie where the user can put something else."""
    theirs = place / "theirs"
    theirs.mkdir()
    program(theirs, "claude", "true")
    os.chown(theirs, unix_user.find("nobody").uid, -1)
    theirs.chmod(0o755)
    given = {
        "claude_cli_path": {"claude_cli_path": str(theirs / "claude")},
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


def test_a_link_to_what_the_user_could_replace(nobody, place):
    """A program behind a link counts where it really is."""
    theirs = place / "theirs"
    theirs.mkdir()
    program(theirs, "claude", "true")
    os.chown(theirs / "claude", unix_user.find("nobody").uid, -1)
    (place / "link").symlink_to(theirs / "claude")
    (mistake,) = nobody(claude_cli_path=str(place / "link"))
    assert f"can write to {place / 'link'}" in mistake
