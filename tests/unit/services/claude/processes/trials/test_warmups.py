"""Warm-ups are permitted once a binary has passed its trial."""

from __future__ import annotations

import logging
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import replace

import pytest

from wrapper.services.claude.errors.engine_errors import BootFailed
from wrapper.services.claude.processes.binary import Binary
from wrapper.services.claude.processes.profiles import Profile
from wrapper.services.claude.processes.trials import warmups
from wrapper.services.claude.processes.trials.warmup_trial import Failed
from wrapper.services.claude.processes.trials.warmups import WarmUps
from wrapper.settings import Settings

BINARY = Binary("/opt/claude", "2.1.332", "PATH", stamp=(1, 2, 3))
PLAIN = Profile("plain", ("--verbose",), {"HOME": "/", "CLAUDE_CODE_SIMPLE": "1"}, pooled=True)


class Later(Executor):
    """Keeps what is submitted until `run`."""

    def __init__(self):
        self.calls = []

    def submit(self, function, /, *arguments, **named):
        self.calls.append(lambda: function(*arguments, **named))
        return Future()

    def run(self):
        calls, self.calls = self.calls, []
        for call in calls:
            call()


@contextmanager
def lend(profile, binary):
    raise AssertionError("no process is needed")
    yield


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Return a function that makes WarmUps whose trials end with *outcome*, and their threads."""

    def of(outcome=None, **settings):
        def trial(*arguments):
            if outcome:
                raise outcome

        monkeypatch.setattr(warmups, "try_warm_up", trial)
        threads = Later()
        given = Settings(trials_dir=str(tmp_path / "trials"), **settings)
        return WarmUps(given, lend, threads), threads

    return of


def test_after_the_trial(make):
    """Until the trial has passed, nothing is warmed up. It runs once."""
    warm_ups, threads = make()
    assert not warm_ups.permit(BINARY, PLAIN)
    assert not warm_ups.permit(BINARY, PLAIN)
    assert warm_ups.health() == {"plain": {"status": "trying"}}
    assert len(threads.calls) == 1
    threads.run()
    assert warm_ups.permit(BINARY, PLAIN)
    assert warm_ups.health() == {"plain": {"status": "on"}}
    assert threads.calls == []


def test_result_is_kept(make):
    """Another gateway need not try the same binary."""
    warm_ups, threads = make()
    warm_ups.permit(BINARY, PLAIN)
    threads.run()
    again, threads = make(Failed("must not run"))
    assert again.permit(BINARY, PLAIN)
    assert threads.calls == []


def test_failure_is_kept_and_logged_once(make, caplog):
    """A binary that fails is never warmed up, and the log says once a gateway why."""
    for _ in range(2):
        warm_ups, threads = make(Failed("its header anthropic-beta differs"))
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                assert not warm_ups.permit(BINARY, PLAIN)
                threads.run()
        assert caplog.messages == [
            "warm-up of plain processes is off from now on (POOL_REHEARSE): "
            "its header anthropic-beta differs"
        ]
        error = "its header anthropic-beta differs"
        assert warm_ups.health() == {"plain": {"status": "off", "error": error}}


@pytest.mark.parametrize(
    ("binary", "profile"),
    [
        (replace(BINARY, stamp=(1, 2, 4)), PLAIN),
        (replace(BINARY, version="2.1.333"), PLAIN),
        (BINARY, replace(PLAIN, arguments=("--verbose", "--new"))),
        (BINARY, replace(PLAIN, variables={"HOME": "/"})),
        (BINARY, replace(PLAIN, variables={**PLAIN.variables, "ANTHROPIC_API_KEY": "sk-x"})),
    ],
    ids=["replaced", "version", "arguments", "variables", "kind of login"],
)
def test_another_binary_or_profile(make, binary, profile):
    """A binary that was replaced, or that is started otherwise, is tried again."""
    warm_ups, threads = make()
    warm_ups.permit(BINARY, PLAIN)
    threads.run()
    again, threads = make()
    assert not again.permit(binary, profile)
    assert len(threads.calls) == 1


def test_secrets_do_not_count(make, tmp_path):
    """The same binary with another key or home passes, and no file holds a key."""
    keyed, other = (
        replace(PLAIN, variables={**PLAIN.variables, "ANTHROPIC_API_KEY": key})
        for key in ("sk-secret", "sk-secret-too")
    )
    warm_ups, threads = make()
    warm_ups.permit(BINARY, keyed)
    threads.run()
    assert make()[0].permit(BINARY, other)
    stored = [file.read_text() for file in (tmp_path / "trials").iterdir()]
    assert stored
    assert not any("sk-secret" in text for text in stored)


def test_trial_that_cannot_run(make, caplog):
    """A trial that could not run turns warm-ups off, and is run again by the next gateway."""
    warm_ups, threads = make(BootFailed("Claude Code did not answer in time (BOOT_TIMEOUT)."))
    warm_ups.permit(BINARY, PLAIN)
    threads.run()
    assert not warm_ups.permit(BINARY, PLAIN)
    assert "did not answer in time" in warm_ups.health()["plain"]["error"]
    again, threads = make()
    again.permit(BINARY, PLAIN)
    assert len(threads.calls) == 1


def test_unwritable_folder(make, tmp_path):
    """Without a folder to write to, a gateway tries the binary itself."""
    (tmp_path / "trials").write_text("no folder")
    warm_ups, threads = make()
    warm_ups.permit(BINARY, PLAIN)
    threads.run()
    assert warm_ups.permit(BINARY, PLAIN)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"failure": ' + '"' + "x" * 9000 + '"}'])
def test_unreadable_result(make, tmp_path, text):
    """A file that makes no sense is no result."""
    warm_ups, threads = make()
    warm_ups.permit(BINARY, PLAIN)
    threads.run()
    (file,) = (tmp_path / "trials").iterdir()
    file.write_text(text)
    again, threads = make()
    assert not again.permit(BINARY, PLAIN)
    assert len(threads.calls) == 1


def test_switched_off(make):
    """POOL_REHEARSE=false, or a profile without a pool, means neither warm-ups nor trials."""
    warm_ups, threads = make(pool_rehearse=False)
    assert not warm_ups.permit(BINARY, PLAIN)
    assert warm_ups.health() == {}
    others, other_threads = make()
    assert not others.permit(BINARY, replace(PLAIN, pooled=False))
    assert threads.calls == other_threads.calls == []


def test_one_profile_fails(make):
    """A profile whose trial fails leaves the other one's warm-ups on."""
    agent = replace(PLAIN, name="agent")
    warm_ups, threads = make()
    warm_ups.permit(BINARY, PLAIN)
    threads.run()
    warm_ups.turn_off(agent, "Claude Code did not answer in time.")
    assert warm_ups.permit(BINARY, PLAIN)
    assert not warm_ups.permit(BINARY, agent)
    assert threads.calls == []


def test_closed_while_it_runs(make, caplog):
    """A gateway that shuts down during a trial logs no failure."""
    warm_ups, threads = make(BootFailed("Claude Code ended while starting."))
    warm_ups.permit(BINARY, PLAIN)
    warm_ups.close()
    with caplog.at_level(logging.WARNING):
        threads.run()
    assert caplog.messages == []
