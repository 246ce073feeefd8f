"""A binary is tried before its processes serve, once, and what it fails is known and logged."""

from __future__ import annotations

import itertools
import logging
import re
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.log_records import messages_of
from wrapper.services.claude.errors.engine_errors import BootFailed, Refused
from wrapper.services.claude.processes.binary import Binary, Replaced
from wrapper.services.claude.processes.profiles import Profile, build_profiles
from wrapper.services.claude.processes.trials import examination, table, trials
from wrapper.services.claude.processes.trials.check import Check, Consequence
from wrapper.services.claude.processes.trials.failure import Failed
from wrapper.services.claude.processes.trials.results import Results
from wrapper.services.claude.processes.trials.trials import TRIES, Trials
from wrapper.services.claude.processes.trials.warmup_checks import WARM_UP
from wrapper.settings import Settings

BINARY = Binary("/opt/claude", "2.1.332", "PATH", stamp=(1, 2, 3))
PLAIN = Profile("plain", ("--verbose",), {"HOME": "/", "CLAUDE_CODE_SIMPLE": "1"}, pooled=True)
AGENT = replace(PLAIN, name="agent")
DIFFERS = Failed("its header anthropic-beta differs")


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
def lend(profile, binary, config):
    raise AssertionError("no process is needed")
    yield


class Harness:
    """Trials whose two checks end with *safety* and *warm_up*; `ran` are those that ran."""

    def __init__(self, folder, safety=None, warm_up=None, **settings):
        self.threads = Later()
        self.ran: list[str] = []
        self.checks = (
            self._check("text", Consequence.REFUSED, safety, comes_first=True, remedy="Stop."),
            self._check(WARM_UP, Consequence.SLOWER, warm_up),
        )
        given = Settings(trials_dir=str(folder), **settings)
        self.trials = Trials(given, lend, self.threads, folder.parent)

    def qualify(self, binary=BINARY, profile=PLAIN):
        return self.trials.qualify(binary, profile)

    def _check(self, id_: str, consequence, outcome, **more: Any) -> Check:
        outcomes = iter(outcome) if isinstance(outcome, list) else itertools.repeat(outcome)

        def run(trial):
            self.ran.append(id_)
            if failed := next(outcomes):
                raise failed

        return Check(id_, ("agent", "plain"), "It does.", consequence, run, **more)


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Return a function that makes a Harness. The checks need no process."""

    @contextmanager
    def opened(*arguments):
        yield SimpleNamespace()

    monkeypatch.setattr(examination, "open_trial", opened)
    monkeypatch.setattr(trials, "TRY_SECONDS", 0.0)

    def of(**more) -> Harness:
        harness = Harness(tmp_path / "trials", **more)
        monkeypatch.setattr(trials, "CHECKS", harness.checks)
        monkeypatch.setattr(table, "CHECKS", harness.checks)
        return harness

    return of


def test_what_comes_first(make):
    """Safety is checked before a process serves, the rest in the background, and both once."""
    harness = make()
    qualification = harness.qualify()
    assert harness.ran == ["text"]
    assert harness.qualify() is qualification
    assert not qualification.passed(WARM_UP)
    assert harness.trials.warm_ups() == {"plain": {"status": "trying"}}
    assert harness.trials.health() == {"plain": {"status": "running", "failed": {}}}
    assert len(harness.threads.calls) == 1
    harness.threads.run()
    assert qualification.passed(WARM_UP)
    assert harness.trials.warm_ups() == {"plain": {"status": "on"}}
    assert harness.trials.health() == {"plain": {"status": "passed", "failed": {}}}
    assert harness.ran == ["text", WARM_UP]


def test_result_is_kept(make):
    """Another gateway need not try the same binary."""
    harness = make()
    harness.qualify()
    harness.threads.run()
    again = make(safety=Failed("must not run"), warm_up=Failed("must not run"))
    assert again.qualify().passed(WARM_UP)
    again.threads.run()
    assert again.ran == []


def test_new_check(make):
    """A check without a stored result runs, and the others do not."""
    harness = make()
    harness.qualify()
    again = make()
    assert not again.qualify().passed(WARM_UP)
    again.threads.run()
    assert again.ran == [WARM_UP]


def test_unfit(make):
    """A binary that is not safe is refused, by every gateway, with what to do."""
    for expected in (["text"], []):
        harness = make(safety=Failed("it reads files"))
        with pytest.raises(Refused) as refused:
            harness.qualify()
        assert str(refused.value).startswith(
            "Claude Code 2.1.332 fails the check text: it reads files. It does. To do: install "
            "another version: pip install"
        )
        assert str(refused.value).endswith("; or Stop.")
        assert harness.ran == expected
        assert harness.threads.calls == []


@pytest.mark.parametrize("profile", ["agent", "plain"])
def test_each_unsafe_check(tmp_path, profile):
    """No process of a profile serves if one of its checks of safety fails."""
    built = build_profiles(Settings(), {"PATH": "/bin", "ANTHROPIC_API_KEY": "sk-x"})[profile]
    unsafe = [
        check
        for check in table.CHECKS
        if check.is_for(built) and check.consequence is Consequence.REFUSED
    ]
    assert {"isolation", "tools"} < {check.id for check in unsafe}
    for check in unsafe:
        results = {other.id: "" for other in table.CHECKS} | {check.id: "it differs"}
        Results(tmp_path).write(BINARY, built, results)
        tried = Trials(Settings(trials_dir=str(tmp_path)), lend, Later(), tmp_path)
        reason = f"fails the check {check.id}: it differs. {check.relies_on} To do:"
        with pytest.raises(Refused, match=re.escape(reason)):
            tried.qualify(BINARY, built)


def test_failure_is_logged_once(make, caplog):
    """The log says once a gateway what a binary fails, and what follows."""
    for _ in range(2):
        harness = make(warm_up=DIFFERS)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                assert not harness.qualify().passed(WARM_UP)
                harness.threads.run()
        assert messages_of(caplog, Trials) == [
            f"Claude Code 2.1.332 fails the check warm-up of plain processes: {DIFFERS}; requests "
            "are served in a slower way"
        ]
        assert harness.trials.warm_ups() == {"plain": {"status": "off", "error": str(DIFFERS)}}
        failed = {"status": "failed", "failed": {WARM_UP: str(DIFFERS)}}
        assert harness.trials.health() == {"plain": failed}


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
    make().qualify()
    again = make()
    again.qualify(binary, profile)
    assert again.ran == ["text"]


def test_replaced_while_it_runs(make):
    """The processes of a replaced binary keep what is known of theirs."""
    harness = make()
    before = harness.qualify()
    harness.threads.run()
    after = harness.qualify(replace(BINARY, stamp=(9,)))
    assert before.passed(WARM_UP)
    assert not after.passed(WARM_UP)
    assert harness.trials.warm_ups() == {"plain": {"status": "trying"}}


def test_secrets_do_not_count(make, tmp_path):
    """The same binary with another key or home passes, and no file holds a key."""
    keyed, other = (
        replace(PLAIN, variables={**PLAIN.variables, "ANTHROPIC_API_KEY": key})
        for key in ("sk-secret", "sk-secret-too")
    )
    make().qualify(profile=keyed)
    again = make()
    again.qualify(profile=other)
    assert again.ran == []
    stored = [file.read_text() for file in (tmp_path / "trials").iterdir()]
    assert stored
    assert not any("sk-secret" in text for text in stored)


def test_safety_that_cannot_be_checked(make):
    """If safety could not be checked no process serves, and it is checked again."""
    harness = make(safety=BootFailed("Claude Code did not answer in time (BOOT_TIMEOUT)."))
    for _ in range(2):
        with pytest.raises(BootFailed):
            harness.qualify()
    assert harness.ran == ["text", "text"]


def test_rest_that_cannot_run(make):
    """What could not be tried in the background is off, and is tried again by the next gateway."""
    harness = make(warm_up=BootFailed("Claude Code did not answer in time (BOOT_TIMEOUT)."))
    qualification = harness.qualify()
    harness.threads.run()
    assert "did not answer in time" in (qualification.failure(WARM_UP) or "")
    assert harness.ran == ["text", *[WARM_UP] * TRIES]
    again = make()
    again.qualify()
    again.threads.run()
    assert again.ran == [WARM_UP]


@pytest.mark.parametrize("error", [BootFailed("Claude Code ended while starting."), ValueError()])
def test_rest_that_cannot_run_once(make, error):
    """What could not be tried in the background is tried again."""
    harness = make(warm_up=[error, None])
    qualification = harness.qualify()
    harness.threads.run()
    assert qualification.passed(WARM_UP)
    assert harness.trials.health() == {"plain": {"status": "passed", "failed": {}}}


def test_rest_that_always_fails_unexpectedly(make):
    """An error that nobody expects ends the trial, too."""
    harness = make(warm_up=ValueError("secret"))
    harness.qualify()
    harness.threads.run()
    failed = {WARM_UP: "it could not run: ValueError"}
    assert harness.trials.health() == {"plain": {"status": "failed", "failed": failed}}


def test_replaced_while_it_is_tried(make, caplog):
    """The checks of a binary that is replaced meanwhile have no result, and none is reported."""
    harness = make(warm_up=Replaced(BINARY))
    qualification = harness.qualify()
    harness.threads.run()
    assert harness.ran == ["text", WARM_UP]
    assert qualification.failure(WARM_UP) is None
    assert not messages_of(caplog, Trials)


def test_unwritable_folder(make, tmp_path):
    """Without a folder to write to, a gateway tries the binary itself."""
    (tmp_path / "trials").write_text("no folder")
    harness = make()
    qualification = harness.qualify()
    harness.threads.run()
    assert qualification.passed(WARM_UP)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"results": 1}', '{"results": {"text'])
def test_unreadable_result(make, tmp_path, text):
    """A file that makes no sense holds no results."""
    make().qualify()
    (file,) = (tmp_path / "trials").iterdir()
    file.write_text(text)
    again = make()
    again.qualify()
    assert again.ran == ["text"]


def test_switched_off(make):
    """With TRIALS=false, or for a profile without a pool, everything counts as passed."""
    harness = make(trials=False)
    assert harness.qualify().passed(WARM_UP)
    assert make().qualify(profile=replace(PLAIN, pooled=False)).passed(WARM_UP)
    assert harness.ran == []
    assert harness.trials.health() == {}
    assert harness.trials.warm_ups() == {"plain": {"status": "on"}}


def test_no_warm_ups(make):
    """With POOL_REHEARSE=false their check does not run."""
    harness = make(pool_rehearse=False)
    harness.qualify()
    harness.threads.run()
    assert harness.ran == ["text"]
    assert harness.trials.warm_ups() == {}


def test_one_profile_fails(make, caplog):
    """A warm-up that fails in service is off for that profile alone, which the log says once."""
    harness = make()
    plain, agent = harness.qualify(), harness.qualify(profile=AGENT)
    harness.threads.run()
    process: Any = SimpleNamespace(qualification=agent)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            harness.trials.fail_warm_up(process, "Claude Code did not answer in time.")
    assert plain.passed(WARM_UP)
    assert not agent.passed(WARM_UP)
    assert len(messages_of(caplog, Trials)) == 1


def test_closed_while_it_runs(make, caplog):
    """A gateway that shuts down during a trial logs no failure."""
    harness = make(warm_up=BootFailed("Claude Code ended while starting."))
    harness.qualify()
    harness.trials.close()
    with caplog.at_level(logging.WARNING):
        harness.threads.run()
    assert messages_of(caplog, Trials) == []


def test_examine(make, tmp_path):
    """All checks can be run on demand, whatever is stored."""
    harness = make()
    harness.qualify()
    findings = list(harness.trials.examine(BINARY, PLAIN))
    assert [(finding.check.id, finding.failed) for finding in findings] == [
        ("text", ""),
        (WARM_UP, ""),
    ]


def test_files_of_a_trial(make, tmp_path, monkeypatch):
    """A trial has its files in the gateway's directory, which is removed however that ends."""
    folders = []

    @contextmanager
    def opened(profile, lend, folder, seconds):
        folders.append(folder)
        yield SimpleNamespace()

    harness = make()
    monkeypatch.setattr(examination, "open_trial", opened)
    harness.qualify()
    assert [folder.parent for folder in folders] == [tmp_path]


def test_no_thread_for_the_rest(make):
    """If there is no thread for the checks in the background, the next boot begins them."""
    harness = make()
    submit, harness.threads.submit = harness.threads.submit, no_thread
    harness.qualify()
    harness.threads.submit = submit
    for _ in range(2):
        qualification = harness.qualify()
    assert len(harness.threads.calls) == 1
    harness.threads.run()
    assert qualification.passed(WARM_UP)


def no_thread(*_):
    raise RuntimeError("can't start new thread")
