"""The command `doctor --qualify`."""

from __future__ import annotations

import pytest

from tests.unit.cli.test_doctor import run
from wrapper.services.claude.errors.engine_errors import BootFailed
from wrapper.services.claude.processes.trials.examination import Finding
from wrapper.services.claude.processes.trials.table import check_of
from wrapper.services.claude.processes.trials.trials import Trials


@pytest.fixture
def claude(tmp_path):
    """The path of a `claude` that has a version."""
    path = tmp_path / "claude"
    path.write_text("#!/bin/sh\necho '2.1.330 (Claude Code)'\n")
    path.chmod(0o755)
    return str(path)


def qualify(monkeypatch, claude, findings):
    """Return the exit status and lines if the checks of each profile end with *findings*."""

    def examine(self, binary, profile):
        for check, failed in findings:
            if isinstance(failed, Exception):
                raise failed
            if profile.name in check_of(check).profiles:
                yield Finding(check_of(check), failed, 0.25)

    monkeypatch.setattr(Trials, "examine", examine)
    arguments = ("doctor", "--qualify")
    return run(arguments, claude_cli_path=claude)


def test_table(monkeypatch, claude):
    """Each check has a line: what is relied on, or what fails and what follows."""
    findings = [("text", ""), ("form", "a request has the fields x")]
    status, lines = qualify(monkeypatch, claude, findings)
    assert status == 0
    assert lines == [
        f"ok      claude: 2.1.330 at {claude}",
        f"ok      agent text: {check_of('text').relies_on} (0.2 s)",
        "WARNING plain form: a request has the fields x; requests are served, and the response "
        "names it",
    ]


def test_unsafe(monkeypatch, claude):
    """A binary that must not serve fails the command."""
    status, lines = qualify(monkeypatch, claude, [("text", "it reads files")])
    assert status == 1
    assert lines[1] == "FAILED  agent text: it reads files; no process of the profile serves"


def test_broken(monkeypatch, claude):
    """A binary that does not answer fails the command."""
    status, lines = qualify(monkeypatch, claude, [("text", BootFailed("It died.", "It wrote: x"))])
    assert status == 1
    assert lines[1:] == ["FAILED  claude: It died. It wrote: x"]


def test_no_binary(tmp_path):
    """Without a binary the command says what to do."""
    status, lines = run(("doctor", "--qualify"), claude_cli_path=str(tmp_path / "none"))
    assert status == 1
    assert "does not exist" in lines[0]
