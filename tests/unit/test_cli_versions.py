"""Which versions of Claude Code `make test-clis` runs its tests on, and what fails it."""

from __future__ import annotations

import re
import sys

import pytest

from tests.support import cli, cli_versions
from tests.support.cli_versions import main

PINNED, NEW = "2.1.330", "2.1.999"
# A test that fails on every binary, which it says at the end of a long comparison.
DIFFERS = """
import os

import pytest


@pytest.mark.clis
def test_body():
    body = {str(number): number for number in range(60)}
    assert body == {**body, "59": os.environ["CLAUDE_CLI_PATH"]}
"""


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


def test_the_difference_is_printed(tried, monkeypatch, tmp_path, capfd):
    """Before the warning the whole difference can be read, and tests get the version's binary."""
    (tmp_path / "test_it.py").write_text(DIFFERS)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # which takes seconds
    monkeypatch.setattr(cli_versions, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["", "newest", "test_it.py", "-p", "no:cacheprovider"])
    assert main("newest", cli_versions.run) == 0
    shown, _, warning = capfd.readouterr().out.partition("WARNING: ")
    assert re.search(rf"-\s+'59': '{NEW}',\n.*\+\s+'59': 59,", shown)
    assert warning.startswith(f"Claude Code {NEW} differs")


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
