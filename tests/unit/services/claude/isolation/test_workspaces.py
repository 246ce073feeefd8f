"""Workspaces: a directory for each of several callers, and for each session."""

import os
import tempfile
from pathlib import Path

import pytest

from tests.support import cli
from wrapper.errors import Unavailable
from wrapper.services.claude.engine import ClaudeEngine
from wrapper.services.claude.isolation import unix_user
from wrapper.services.claude.isolation.workspaces import Workspaces
from wrapper.services.principal import DEFAULT, LOCAL, Principal
from wrapper.services.turn import SessionKey, Turn
from wrapper.settings import Settings

KEPT = 100.0


def turn_of(principal, profile="agent", session=None):
    return Turn("sonnet", (), profile=profile, principal=principal, session=session)


def key_of(uid="a1", owner="local"):
    return SessionKey(owner, "s", uid)


def callers(folder):
    """Return the workspaces of callers below *folder*."""
    return Workspaces(str(folder), "/nowhere", KEPT)


def sessions(folder, now=1000.0):
    """Return the workspaces of sessions below *folder*, and a clock that a test may set."""
    clock = [now]
    return Workspaces("", str(folder), KEPT, lambda: clock[0]), clock


def session_turn(uid="a1", **fields):
    return turn_of(LOCAL, session=key_of(uid), **fields)


# Callers


def test_each_its_own(tmp_path):
    """Each caller gets its own directory, with its name, made when it is first needed."""
    for name in ("alice", "bob@example.org", "alice"):
        folder = tmp_path / name
        assert callers(tmp_path).of(turn_of(Principal(name))) == str(folder)
        assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("principal", [LOCAL, DEFAULT, Principal("alone", shares=False)])
@pytest.mark.parametrize("session", [None, key_of()])
def test_sole_callers(tmp_path, principal, session):
    """A sole caller works where its process was started, with or without a session."""
    assert callers(tmp_path).of(turn_of(principal, session=session)) is None
    assert not list(tmp_path.iterdir())


def test_where_none_is_needed(tmp_path):
    """A turn without CLAUDE_CWD and session, or without tools, needs no directory."""
    assert sessions(tmp_path)[0].of(turn_of(Principal("alice"))) is None
    assert callers(tmp_path).of(turn_of(Principal("alice"), "plain")) is None


def test_what_cannot_be_had(tmp_path):
    """A directory that cannot be made, or is a link to another, makes the turn fail."""
    (tmp_path / "alice").write_text("a file")
    (tmp_path / "bob").symlink_to(tmp_path)
    for name in ("alice", "bob"):
        with pytest.raises(Unavailable, match="working directory"):
            callers(tmp_path).of(turn_of(Principal(name)))


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../bob", "a/b", "/etc", "a\0b", "a" * 65, "-a", ".a", "ä", "a b", "a\n"],
)
def test_names_that_lead_elsewhere(name):
    """No caller can have a name that leads to another directory."""
    with pytest.raises(ValueError, match="no name for a caller"):
        Principal(name)


# Sessions


def test_a_session_has_its_own(tmp_path):
    """A session gets its own directory, made when it is first needed, and keeps it."""
    folder = tmp_path / "deep" / "sessions"
    workspaces, _ = sessions(folder)
    made = workspaces.of(session_turn("a1"))
    assert made == str(folder / "a1")
    for path in (folder, folder / "a1"):
        assert path.stat().st_mode & 0o777 == 0o700
    (folder / "a1" / "notes.txt").write_text("kept")
    assert workspaces.of(session_turn("a1")) == made
    assert (folder / "a1" / "notes.txt").read_text() == "kept"
    assert workspaces.of(session_turn("b2")) == str(folder / "b2")


def test_a_plain_session_needs_none(tmp_path):
    """A session without tools needs no directory."""
    assert sessions(tmp_path)[0].of(session_turn(profile="plain")) is None
    assert not list(tmp_path.iterdir())


def test_callers_keep_theirs_in_a_session(tmp_path):
    """With CLAUDE_CWD, a session works in its caller's directory."""
    turn = turn_of(Principal("alice"), session=key_of(owner="alice"))
    assert callers(tmp_path).of(turn) == str(tmp_path / "alice")


def test_each_turn_touches_it(tmp_path):
    """A session's directory has the time of the session's last turn."""
    workspaces, clock = sessions(tmp_path)
    for now in (1000.0, 1500.0):
        clock[0] = now
        workspaces.of(session_turn())
        assert (tmp_path / "a1").stat().st_mtime == now


def test_forgotten(tmp_path):
    """Forgetting a session removes its directory with its content, and no other one."""
    workspaces, _ = sessions(tmp_path)
    for uid in ("a1", "b2"):
        workspaces.of(session_turn(uid))
    (tmp_path / "a1" / "sub").mkdir()
    (tmp_path / "a1" / "sub" / "file").write_text("x")
    workspaces.forget(key_of("a1"))
    workspaces.forget(key_of("a1"))
    assert os.listdir(tmp_path) == ["b2"]


def test_forgotten_without_processes(tmp_path):
    """An engine that was not started, as in a command, removes the directory and starts nothing."""
    workspaces, _ = sessions(tmp_path)
    workspaces.of(session_turn())
    engine = ClaudeEngine(Settings(session_dir=str(tmp_path)), {})
    engine.forget(key_of())
    assert os.listdir(tmp_path) == []
    assert engine._running is None


def test_removed_by_age(tmp_path):
    """A directory is removed once its session's last turn is too long ago, not before."""
    workspaces, clock = sessions(tmp_path)
    workspaces.of(session_turn("old"))
    clock[0] += KEPT
    workspaces.of(session_turn("new"))
    workspaces.remove_expired()
    assert sorted(os.listdir(tmp_path)) == ["new", "old"]
    clock[0] += 1
    workspaces.remove_expired()
    assert os.listdir(tmp_path) == ["new"]


def test_kept(tmp_path):
    """A session's directory in which a turn runs counts as used, and a caller's is left alone."""
    workspaces, clock = sessions(tmp_path)
    made = workspaces.of(session_turn())
    clock[0] += 1
    workspaces.keep([made, str(tmp_path / "removed")])
    callers(tmp_path).keep([made])
    assert (tmp_path / "a1").stat().st_mtime == clock[0]


def test_nothing_to_remove(tmp_path):
    """Nothing is removed if no session has had a directory yet."""
    sessions(tmp_path / "none")[0].remove_expired()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("uid", ["", ".", "..", "../x", "a/b", "/etc", "a\n", "a\0", "ä", "a" * 65])
def test_a_uid_that_is_no_name(tmp_path, uid):
    """No uid of a store leads a turn, or a removal, to another directory."""
    workspaces, _ = sessions(tmp_path / "sessions")
    (tmp_path / "x").mkdir()
    with pytest.raises(Unavailable):
        workspaces.of(session_turn(uid))
    with pytest.raises(Unavailable):
        workspaces.forget(key_of(uid))
    assert os.listdir(tmp_path) == ["x"]


def test_links(tmp_path):
    """A link in place of a session's directory is refused, and its target stays."""
    target, folder = tmp_path / "target", tmp_path / "sessions"
    target.mkdir()
    folder.mkdir()
    (target / "file").write_text("x")
    (folder / "a1").symlink_to(target)
    workspaces, clock = sessions(folder)
    with pytest.raises(Unavailable, match="link"):
        workspaces.of(session_turn())
    clock[0] = 1e12
    workspaces.remove_expired()
    workspaces.forget(key_of())
    assert (target / "file").read_text() == "x"


# Another user's


@pytest.fixture
def nobody():
    if os.geteuid() != 0:
        cli.missing("right to give files to another user: be root")
    return unix_user.find("nobody")


def test_a_way_for_the_user(nobody):
    """The user can enter its directory through new parents, whatever the umask is."""
    before = os.umask(0o077)
    try:
        with tempfile.TemporaryDirectory(dir="/tmp") as name:
            Path(name).chmod(0o711)
            sessions = Path(name, "state", "sessions")
            made = Workspaces("", str(sessions), KEPT, user=nobody).of(session_turn())
            assert nobody.can("w", str(made))
            assert not nobody.can("r", sessions)
            assert not nobody.can("w", sessions)
    finally:
        os.umask(before)


@pytest.mark.parametrize("kind", ["link", "file"])
def test_nothing_is_given_away(tmp_path, nobody, kind):
    """A link or file in place of a directory keeps its owner."""
    target, path = tmp_path / "target", tmp_path / "alice"
    target.mkdir()
    if kind == "link":
        path.symlink_to(target)
    else:
        path.write_text("another's")
    with pytest.raises(Unavailable, match="working directory"):
        Workspaces(str(tmp_path), "/nowhere", KEPT, user=nobody).of(turn_of(Principal("alice")))
    assert target.stat().st_uid == path.lstat().st_uid == 0


def test_a_directory_that_became_a_link(tmp_path, nobody):
    """If an agent has replaced CLAUDE_CWD with a link, nothing is made behind it."""
    shared, target = tmp_path / "shared", tmp_path / "target"
    shared.mkdir()
    target.mkdir()
    workspaces = Workspaces(str(shared), "/nowhere", KEPT, user=nobody)
    shared.rmdir()
    shared.symlink_to(target)
    with pytest.raises(Unavailable, match="working directory"):
        workspaces.of(turn_of(Principal("alice")))
    assert not list(target.iterdir())
