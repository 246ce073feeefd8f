"""The login that Claude Code uses, and how the user's own is link and copied back."""

from __future__ import annotations

import pytest

from wrapper.services.claude.login.login import LentLogin, detect_login, uses_cli_login


@pytest.fixture
def paths(tmp_path):
    original = tmp_path / "home" / ".credentials.json"
    original.parent.mkdir()
    config = tmp_path / "config"
    config.mkdir()
    return original, config, config / ".credentials.json"


def renew(link, text):
    """Replace the file as Claude Code does."""
    fresh = link.with_name("fresh")
    fresh.write_text(text)
    fresh.replace(link)


def test_lent(paths):
    """A login is read through the link, even if the user logs in later."""
    original, config, link = paths
    LentLogin(original, config)
    assert not link.exists()
    original.write_text("a login")
    assert link.read_text() == "a login"


def test_copied_back(paths):
    """A renewed login replaces the user's, readable by nobody else, and is linked again."""
    original, config, link = paths
    original.write_text("old")
    login = LentLogin(original, config)
    renew(link, "new")
    login.copy_back()
    assert (original.read_text(), link.is_symlink()) == ("new", True)
    assert original.stat().st_mode & 0o777 == 0o600
    original.write_text("newest")
    assert link.read_text() == "newest"
    assert [path.name for path in original.parent.iterdir()] == [original.name]


@pytest.mark.parametrize("logged_in", [True, False])
def test_nothing_to_copy_back(paths, logged_in):
    """A login that was not renewed stays as it is."""
    original, config, link = paths
    if logged_in:
        original.write_text("a login")
    LentLogin(original, config).copy_back()
    assert original.exists() is logged_in
    assert link.is_symlink()


def test_home_that_cannot_be_written(paths):
    """A login that cannot be copied back stays, and the next call tries again."""
    original, config, link = paths
    original.write_text("old")
    login = LentLogin(original, config)
    renew(link, "new")
    away = original.parent.rename(original.parent.with_name("away"))
    with pytest.raises(OSError, match="No such file"):
        login.copy_back()
    away.rename(original.parent)
    login.copy_back()
    assert original.read_text() == "new"


def test_a_link_to_another_file(paths, tmp_path):
    """A link in place of the renewed login is not copied."""
    original, config, link = paths
    original.write_text("old")
    other = tmp_path / "other"
    other.write_text("another file")
    login = LentLogin(original, config)
    link.unlink()
    link.symlink_to(other)
    with pytest.raises(OSError, match="symbolic links"):
        login._restore()
    assert original.read_text() == "old"
    assert list(original.parent.iterdir()) == [original]


# Which login is used

WAYS = [
    ({"ANTHROPIC_API_KEY": "k"}, "anthropic", "api_key"),
    ({"ANTHROPIC_AUTH_TOKEN": "t"}, "anthropic", "auth_token"),
    ({"CLAUDE_CODE_OAUTH_TOKEN": "t"}, "claude_cli", "subscription"),
    (
        {"CLAUDE_CODE_USE_BEDROCK": "1", "AWS_REGION": "r", "ANTHROPIC_API_KEY": "k"},
        "bedrock",
        "bedrock",
    ),
    (
        {
            "CLAUDE_CODE_USE_VERTEX": "true",
            "ANTHROPIC_VERTEX_PROJECT_ID": "p",
            "CLOUD_ML_REGION": "r",
        },
        "vertex",
        "vertex",
    ),
]


@pytest.mark.parametrize(("environment", "method", "billed"), WAYS)
def test_method(environment, method, billed):
    """A cloud goes before a key, and a key before a login; none of these lacks anything."""
    login = detect_login(environment)
    assert (login.method, login.missing) == (method, ())
    assert login.billed == billed
    assert uses_cli_login(environment) is (method == "claude_cli")


def test_cli_login(tmp_path):
    """Claude Code's own login is detected by its file, which is not opened."""
    file = tmp_path / ".claude" / ".credentials.json"
    file.parent.mkdir()
    assert detect_login({"HOME": str(tmp_path)}).missing
    file.touch(mode=0)
    login = detect_login({"HOME": str(tmp_path)})
    assert (login.method, login.reason, login.missing) == (
        *("claude_cli", "Claude Code is logged in"),
        (),
    )


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({}, ["ANTHROPIC_API_KEY"]),
        ({"CLAUDE_CODE_USE_BEDROCK": "1"}, ["AWS_REGION"]),
        ({"CLAUDE_CODE_USE_VERTEX": "1"}, ["ANTHROPIC_VERTEX_PROJECT_ID", "CLOUD_ML_REGION"]),
    ],
)
def test_missing(environment, names, tmp_path):
    """The setting that is missing is names."""
    missing = detect_login({"HOME": str(tmp_path), **environment}).missing
    assert len(missing) == len(names)
    assert all(name in message for name, message in zip(names, missing, strict=True))


def test_another_provider():
    """A provider that only Claude Code knows counts as a login, and is what is billed."""
    login = detect_login({"CLAUDE_CODE_USE_FOUNDRY": "1"})
    assert (login.method, login.billed, login.missing) == ("foundry", "foundry", ())


def test_a_cloud_that_is_off():
    """A cloud whose variable is 0 is not used."""
    assert detect_login({"CLAUDE_CODE_USE_BEDROCK": "0", "ANTHROPIC_API_KEY": "k"}).method == (
        "anthropic"
    )
