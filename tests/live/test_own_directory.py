"""The own directory of a plain process, in which Claude Code runs no git when it gets settings."""

import os
import shutil

import pytest

from tests.support import cli
from tests.support.server import MODEL
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.profiles import build_profiles
from wrapper.services.claude.protocol import frames
from wrapper.services.turn import Message, Turn
from wrapper.settings import Settings

pytestmark = pytest.mark.clis
SECONDS = 60
TURN = Turn(MODEL, (Message("user", ("Say it.",)),), profile="plain")


@pytest.fixture
def runs(tmp_path):
    """The file in which each run of git is a line, as PATH has a git that writes one."""
    file = tmp_path / "runs"
    file.touch()
    git = tmp_path / "bin" / "git"
    git.parent.mkdir()
    git.write_text(f'#!/bin/sh\necho "$@" >> {file}\nexec {shutil.which("git")} "$@"\n')
    git.chmod(0o755)
    return file


@pytest.fixture
def process(upstream, tmp_path, runs):
    environment = {
        "PATH": f"{runs.parent / 'bin'}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "ANTHROPIC_BASE_URL": upstream.url,
        "ANTHROPIC_API_KEY": "sk-test",
    }
    plain = build_profiles(Settings(claude_code_max_retries=0), environment)["plain"]
    process = Process(plain, cli.current(), tmp_path / "processes")
    yield process
    process.stop()


def send_settings(process):
    process.boot(SECONDS, early=True)
    for frame in frames.settings(TURN):
        process.ask(frame["request"], SECONDS)


def test_link(process, runs):
    """Where `.claude` is the link, Claude Code trusts no settings there without asking git."""
    send_settings(process)
    assert runs.read_text() == ""


def test_without_link(process, runs):
    """Without it git runs, which is only slower: the link is for speed, and for nothing else."""
    os.unlink(os.path.join(process.directory, ".claude"))
    send_settings(process)
    assert "settings.local.json" in runs.read_text()
