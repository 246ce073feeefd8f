"""The workspace: a directory of its own for each of several callers."""

import pytest

from wrapper.errors import Unavailable
from wrapper.services.claude.workspace import workspace_of
from wrapper.services.principal import DEFAULT, LOCAL, Principal
from wrapper.services.turn import Turn


def turn_of(principal, profile="agent"):
    return Turn("sonnet", (), profile=profile, principal=principal)


def test_each_its_own(tmp_path):
    """Each caller gets the directory of its name, for itself, made when it is first needed."""
    for name in ("alice", "bob@example.org", "alice"):
        folder = tmp_path / name
        assert workspace_of(turn_of(Principal(name)), str(tmp_path)) == str(folder)
        assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("principal", [LOCAL, DEFAULT, Principal("alone", shares=False)])
def test_sole_callers(tmp_path, principal):
    """Who is alone works where the process was started."""
    assert workspace_of(turn_of(principal), str(tmp_path)) is None
    assert not list(tmp_path.iterdir())


def test_where_none_is_needed(tmp_path):
    """Without CLAUDE_CWD, and without tools, there is nothing to be kept apart."""
    assert workspace_of(turn_of(Principal("alice")), "") is None
    assert workspace_of(turn_of(Principal("alice"), "plain"), str(tmp_path)) is None


def test_what_cannot_be_had(tmp_path):
    """A directory that cannot be made, or is a way into another, ends the turn before it begins."""
    (tmp_path / "alice").write_text("a file")
    (tmp_path / "bob").symlink_to(tmp_path)
    for name in ("alice", "bob"):
        with pytest.raises(Unavailable, match="working directory"):
            workspace_of(turn_of(Principal(name)), str(tmp_path))


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../bob", "a/b", "/etc", "a\0b", "a" * 65, "-a", ".a", "ä", "a b", "a\n"],
)
def test_names_that_lead_elsewhere(name):
    """No caller can have a name that would be another place."""
    with pytest.raises(ValueError, match="no name for a caller"):
        Principal(name)
