"""The binary: which claude is chosen, why others are not, and what is done about it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wrapper.services.claude.processes import binary
from wrapper.services.claude.processes.binary import Installation, NoBinary, choose
from wrapper.settings import Settings

OLD, GOOD = "2.1.200", "2.1.330"


def program(folder: Path, text: str = "", version: str = GOOD) -> Path:
    """Write a program `claude` that runs *text*, and else prints a version."""
    folder.mkdir(exist_ok=True)
    path = folder / "claude"
    path.write_text(f"#!/bin/sh\n{text}\necho '{version} (Claude Code)'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bundled(tmp_path, monkeypatch):
    """A good binary in the package, in place of the real one."""
    path = program(tmp_path / "bundled")
    monkeypatch.setattr(binary, "bundled", lambda: str(path))
    return path


@pytest.fixture
def nothing_bundled(monkeypatch):
    monkeypatch.setattr(binary, "bundled", lambda: None)


def search(*folders: Path) -> dict[str, str]:
    return {"PATH": os.pathsep.join(map(str, [*folders, "/usr/bin", "/bin"]))}


def refusal(settings: Settings, environment: dict[str, str]) -> str:
    with pytest.raises(NoBinary) as raised:
        choose(settings, environment)
    return raised.value.details


def test_the_one_that_is_set(tmp_path, bundled):
    """CLAUDE_CLI_PATH is chosen, whatever else is installed."""
    path = program(tmp_path / "own")
    chosen = choose(Settings(claude_cli_path=str(path)), search(program(tmp_path / "a").parent))
    assert (chosen.path, chosen.version, chosen.source) == (str(path), GOOD, "CLAUDE_CLI_PATH")


def test_the_one_in_the_path(tmp_path, bundled):
    """Without that setting the first good one in PATH goes before the bundled one."""
    old, good = program(tmp_path / "old", version=OLD), program(tmp_path / "good")
    chosen = choose(Settings(), search(old.parent, good.parent))
    assert (chosen.path, chosen.source) == (str(good), "PATH")
    assert chosen.rejected[0].startswith(f"{old}: This Claude Code ({OLD}) is older than 2.1.302")


@pytest.mark.parametrize("text", ["exit 1", "echo hello; exit 0", "kill -9 $$"])
def test_the_bundled_one(tmp_path, bundled, text):
    """The bundled one is chosen if the one in PATH does not work."""
    chosen = choose(Settings(), search(program(tmp_path / "bad", text).parent))
    assert (chosen.path, chosen.source) == (str(bundled), "claude-agent-sdk")
    assert len(chosen.rejected) == 1


def test_unfit(tmp_path, bundled):
    """A binary that fails its trial is passed over, and used again once it was replaced."""
    path = program(tmp_path / "own")
    installation = Installation(Settings(), search(path.parent))
    first = installation.binary()
    installation.reject(first, "It reads files.")
    second = installation.binary()
    assert (second.path, second.rejected) == (str(bundled), (f"{path}: It reads files.",))
    path.unlink()
    program(tmp_path / "own", version="2.1.999")
    assert choose(Settings(), search(path.parent), installation.unfit).version == "2.1.999"


def test_none(nothing_bundled):
    """Without any claude the error says how to install one."""
    assert "pip install" in refusal(Settings(), {"PATH": "/nowhere"})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("echo the disk is on fire >&2; exit 3", "exit code 3, writing 'the disk is on fire'"),
        ("exit 3", "exit code 3, writing nothing"),
        ("echo hello; exit 0", "is not Claude Code: --version wrote 'hello'"),
        ("exec sleep 60", "--version did not end within 1 s (BOOT_TIMEOUT)"),
        ("echo '2.1.1 (Claude Code)'; exit 0", "(2.1.1) is older than 2.1.302"),
    ],
)
def test_why_not(tmp_path, bundled, text, reason):
    """A wrong CLAUDE_CLI_PATH is refused with its path, the reason and what to do."""
    path = program(tmp_path / "own", text)
    details = refusal(Settings(claude_cli_path=str(path), boot_timeout=1), search())
    assert details.startswith(f"CLAUDE_CLI_PATH: {path}")
    assert reason in details
    assert "To do: correct the path, or remove the setting" in details


@pytest.mark.parametrize("kind", ["missing", "a directory", "not executable", "no format"])
def test_no_program(tmp_path, bundled, kind):
    """A CLAUDE_CLI_PATH that cannot be run is refused with its path and the reason."""
    path = tmp_path / "claude"
    if kind == "a directory":
        path.mkdir()
    elif kind != "missing":
        path.write_text("hello")
        path.chmod(0o755 if kind == "no format" else 0o644)
    details = refusal(Settings(claude_cli_path=str(path)), search())
    reasons = {"missing": "does not exist", "no format": "cannot be run: Exec format error"}
    assert f"{path} {reasons.get(kind, 'is not a program that can be run')}" in details


def test_home_and_relative_paths(tmp_path, bundled, monkeypatch):
    """CLAUDE_CLI_PATH may begin with ~, or be relative to the working directory."""
    path = program(tmp_path / "own")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for written in ("~/own/claude", "own/claude"):
        assert choose(Settings(claude_cli_path=written), search()).path == str(path)


def test_a_failure_is_remembered(tmp_path, bundled):
    """A program that fails is not run again and again while it stays the same."""
    folder = program(tmp_path / "bad", f"echo x >> {tmp_path}/runs; exit 1").parent
    for _ in range(3):
        assert choose(Settings(), search(folder)).path == str(bundled)
    assert (tmp_path / "runs").read_text() == "x\n"


def test_callers_do_not_see_the_path(bundled):
    """The part of the error that callers may see has no path."""
    with pytest.raises(NoBinary) as raised:
        choose(Settings(claude_cli_path="/nowhere/claude"), search())
    assert "/nowhere" not in raised.value.reason


def test_it_gets_no_secrets(tmp_path, bundled):
    """The program that is asked for its version sees neither keys nor other settings."""
    path = program(tmp_path / "own", f"env > {tmp_path}/seen")
    choose(Settings(claude_cli_path=str(path)), {**search(), "ANTHROPIC_API_KEY": "sk-secret"})
    names = {line.partition("=")[0] for line in (tmp_path / "seen").read_text().splitlines()}
    assert names <= {"PATH", "PWD", "SHLVL", "_"}


def test_chosen_again_after_a_change(tmp_path, bundled):
    """A binary is run once for its version, and again once it has been replaced or is gone."""
    path = program(tmp_path / "own", f"echo x >> {tmp_path}/runs")
    installation = Installation(Settings(), search(path.parent))
    assert [installation.binary().path for _ in range(3)] == [str(path)] * 3
    assert (tmp_path / "runs").read_text() == "x\n"
    program(tmp_path / "own", version="2.1.999")
    assert installation.binary().version == "2.1.999"
    path.unlink()
    assert installation.binary().path == str(bundled)
