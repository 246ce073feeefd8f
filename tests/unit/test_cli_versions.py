"""Which versions of Claude Code `make test-clis` runs its tests on, and what fails it."""

from __future__ import annotations

import pytest

from tests.support import cli
from tests.support.cli_versions import main

PINNED, NEW = "2.1.330", "2.1.999"


@pytest.fixture
def tried(monkeypatch):
    """The binaries on which tests run; those of other versions than the pinned one fail."""
    monkeypatch.setattr(cli, "pinned", lambda: PINNED)
    monkeypatch.setattr(cli, "version_of", lambda binary: binary)
    monkeypatch.setattr(cli, "newest", lambda: NEW)
    monkeypatch.setattr(cli, "install", lambda version: version)
    return []


def status(tried, names):
    """Run the tests on the versions with these names and return the exit status."""

    def run(binary):
        tried.append(binary)
        return binary == PINNED

    return main(names, run)


def test_names(tried):
    """Versions run in the order of their names, and a failure does not keep others from running."""
    assert status(tried, "oldest pinned 2.1.310 newest") == 1
    assert tried == [cli.OLDEST_VERSION, PINNED, "2.1.310", NEW]


@pytest.mark.parametrize(("name", "failed"), [("pinned", 0), ("newest", 0), (NEW, 1)])
def test_the_newest_may_differ(tried, capsys, name, failed):
    """What fails on the newest is a warning; by its number, the same version has to pass."""
    assert status(tried, name) == failed
    assert (f"WARNING: Claude Code {NEW} differs" in capsys.readouterr().out) is (name != "pinned")


def test_the_newest_is_the_pinned_one(tried, monkeypatch, capsys):
    """Then nothing runs, since all tests run on the pinned one."""
    monkeypatch.setattr(cli, "newest", lambda: PINNED)
    assert status(tried, "newest") == 0
    assert tried == []
    assert f"The newest Claude Code is {PINNED}, the pinned one." in capsys.readouterr().out


@pytest.mark.parametrize(("name", "failed"), [("newest", 0), ("2.1.310", 1)])
def test_without_npm(tried, monkeypatch, capsys, name, failed):
    """Without npm the newest is not tested, which is a warning. Other versions must be there."""

    def unavailable(*_):
        raise cli.Unavailable("npm is not installed")

    monkeypatch.setattr(cli, "newest", unavailable)
    monkeypatch.setattr(cli, "install", unavailable)
    assert status(tried, name) == failed
    assert f"Claude Code {name} is not tested: npm is not installed" in capsys.readouterr().out
