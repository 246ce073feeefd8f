"""The lent login: a link to what is the user's, brought back when it was replaced."""

from __future__ import annotations

import pytest

from wrapper.services.claude.login import LentLogin


@pytest.fixture
def places(tmp_path):
    original = tmp_path / "home" / ".credentials.json"
    original.parent.mkdir()
    config = tmp_path / "config"
    config.mkdir()
    return original, config, config / ".credentials.json"


def renew(lent, text):
    """Replace the file as Claude Code does."""
    fresh = lent.with_name("fresh")
    fresh.write_text(text)
    fresh.replace(lent)


def test_lent(places):
    """A login that is there, or comes later, is read through the link."""
    original, config, lent = places
    LentLogin(original, config)
    assert not lent.exists()
    original.write_text("a login")
    assert lent.read_text() == "a login"


def test_given_back(places):
    """A renewed login replaces the user's, readable by nobody else, and is lent anew."""
    original, config, lent = places
    original.write_text("old")
    login = LentLogin(original, config)
    renew(lent, "new")
    login.copy_back()
    assert (original.read_text(), lent.is_symlink()) == ("new", True)
    assert original.stat().st_mode & 0o777 == 0o600
    original.write_text("newest")
    assert lent.read_text() == "newest"
    assert [path.name for path in original.parent.iterdir()] == [original.name]


@pytest.mark.parametrize("logged_in", [True, False])
def test_nothing_to_give_back(places, logged_in):
    """Where nothing was renewed nothing is touched."""
    original, config, lent = places
    if logged_in:
        original.write_text("a login")
    LentLogin(original, config).copy_back()
    assert original.exists() is logged_in
    assert lent.is_symlink()


def test_home_that_cannot_be_written(places):
    """A login that cannot be given back is kept where it is, and tried again."""
    original, config, lent = places
    original.write_text("old")
    login = LentLogin(original, config)
    renew(lent, "new")
    away = original.parent.rename(original.parent.with_name("away"))
    with pytest.raises(OSError, match="No such file"):
        login.copy_back()
    away.rename(original.parent)
    login.copy_back()
    assert original.read_text() == "new"


def test_a_link_to_another_file(places, tmp_path):
    """A link that has taken the login's place is not copied from."""
    original, config, lent = places
    original.write_text("old")
    other = tmp_path / "other"
    other.write_text("another file")
    login = LentLogin(original, config)
    lent.unlink()
    lent.symlink_to(other)
    with pytest.raises(OSError, match="symbolic links"):
        login._restore()
    assert original.read_text() == "old"
    assert list(original.parent.iterdir()) == [original]
