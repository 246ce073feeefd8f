"""The account: how often it is asked for, and what of it is passed on; and the login's state."""

from __future__ import annotations

import os
from concurrent.futures import Future
from typing import Any

import pytest

from wrapper.errors import NotLoggedIn, UpstreamAuthentication
from wrapper.services.claude.status import FRESH_SECONDS, Account, LoginMonitor

ANSWER = {
    "account": {
        "email": "me@example.com",
        "organization": "Mine",
        "subscriptionType": "Claude Max",
        "apiProvider": "firstParty",
    }
}


class FakeProcess:
    def __init__(self, error=None):
        self.error = error

    def ask(self, request, seconds):
        if self.error:
            raise self.error
        return ANSWER


class AccountHarness:
    def __init__(self, error=None):
        self.error = error
        self.leased: list[Any] = []
        self.discarded: list[Any] = []
        self.stamp, self.now = 0, 0.0
        self.abandoned: list[Any] = []
        self.late = False
        self.account = Account(self.lease, lambda: self.stamp, lambda: self.now)

    def read(self):
        supervisor: Any = self
        return self.account.read(supervisor, 0.01)

    def discard(self, process):
        self.discarded.append(process)

    def abandon(self, future):
        self.abandoned.append(future)

    def lease(self):
        self.leased.append(FakeProcess(self.error))
        future: Future[Any] = Future()
        if not self.late:
            future.set_result(self.leased[-1])
        return future


def test_nothing_personal_is_passed_on():
    """Provider and subscription are passed on, but neither address nor organisation."""
    harness = AccountHarness()
    assert harness.read() == {"provider": "firstParty", "subscription": "Claude Max"}
    assert harness.discarded == harness.leased


def test_asked_once():
    """A process is used up every FRESH_SECONDS at most, however often the account is read."""
    harness = AccountHarness()
    harness.read()
    harness.now = FRESH_SECONDS - 1
    harness.read()
    assert len(harness.leased) == 1
    harness.now = FRESH_SECONDS
    harness.read()
    assert len(harness.leased) == 2


def test_asked_again_after_a_login():
    """After a login or logout a process is asked at once."""
    harness = AccountHarness()
    harness.read()
    harness.stamp = 1
    harness.read()
    assert len(harness.leased) == 2


def test_a_process_that_fails():
    """A process that does not answer is discarded, and the next call asks another one."""
    harness = AccountHarness(error=TimeoutError())
    for _ in range(2):
        with pytest.raises(TimeoutError):
            harness.read()
    assert harness.discarded == harness.leased
    assert len(harness.leased) == 2


def test_a_process_that_does_not_come():
    """A process that does not come in time is abandoned."""
    harness = AccountHarness()
    harness.late = True
    with pytest.raises(TimeoutError):
        harness.read()
    assert len(harness.abandoned) == 1


# The state of the login

KEY = {"ANTHROPIC_API_KEY": "sk-something"}


@pytest.mark.linux  # elsewhere the remedy differs: test_elsewhere.py
def test_a_missing_login(tmp_path, caplog):
    """A missing login is logged, and reported with what to do until somebody logs in."""
    monitor = LoginMonitor({"HOME": str(tmp_path)})
    monitor.log_mistakes()
    (message,) = caplog.messages
    report = monitor.health()
    assert report["status"] == "missing"
    for text in (message, report["error"]):
        for remedy in ("`claude /login`", "ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"):
            assert remedy in text
    assert "doctor" in message
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude" / ".credentials.json").touch()
    assert monitor.health() == {"status": "ok"}


def test_a_login_that_is_there(caplog):
    """A login that lacks nothing is not logged."""
    monitor = LoginMonitor(KEY)
    monitor.log_mistakes()
    assert (caplog.messages, monitor.health()) == ([], {"status": "ok"})


def test_a_refused_login_is_announced(tmp_path):
    """It is announced as the same occurrence on all workers, once a day and after each login."""
    announced = []
    environment = {"HOME": str(tmp_path)}
    file = tmp_path / ".claude" / ".credentials.json"
    file.parent.mkdir()
    file.touch()
    now = [1_800_000_000.0]

    def monitor():
        return LoginMonitor(environment, lambda *event: announced.append(event), lambda: now[0])

    first, second = monitor(), monitor()
    for each in (first, second, first):
        each.refuse(UpstreamAuthentication("Refused.", details="secret"))
    first.accept()
    first.refuse(UpstreamAuthentication("Refused."))
    now[0] += 86400
    first.accept()
    first.refuse(UpstreamAuthentication("Refused."))
    os.utime(file, (1, 1))
    first.refuse(UpstreamAuthentication("Refused."))
    types, data, occurrences = zip(*announced, strict=True)
    assert set(types) == {"login.failed"}
    assert data[0] == {
        "id": first.id(),
        "method": "claude_cli",
        "reason": "Claude Code is logged in",
    }
    assert [occurrences.index(each) for each in occurrences] == [0, 0, 0, 3, 4]


def test_a_refused_login(caplog):
    """A refused login is logged once with the provider's reason, and counts until a turn works."""
    monitor = LoginMonitor(KEY)
    for _ in range(3):
        monitor.refuse(UpstreamAuthentication("Refused.", details="invalid x-api-key"))
    (message,) = caplog.messages
    assert message.startswith("invalid x-api-key (ANTHROPIC_API_KEY is set): set ANTHROPIC_API_KEY")
    report = monitor.health()
    assert report["status"] == "refused"
    assert "set ANTHROPIC_API_KEY to a valid one" in report["error"]
    assert "invalid x-api-key" not in report["error"]
    assert monitor.mistakes() == [report["error"]]
    monitor.accept()
    assert monitor.health() == {"status": "ok"}


def test_a_login_after_a_refusal(tmp_path):
    """A refusal is forgotten once somebody logs in again."""
    (tmp_path / ".claude").mkdir()
    file = tmp_path / ".claude" / ".credentials.json"
    file.touch()
    monitor = LoginMonitor({"HOME": str(tmp_path)})
    monitor.refuse(UpstreamAuthentication("Refused."))
    assert "log in again with `claude /login`" in monitor.health()["error"]
    os.utime(file, (1, 1))
    assert monitor.health() == {"status": "ok"}


def test_a_turn_without_a_login(tmp_path, caplog):
    """A turn that fails for lack of a login changes nothing: that was reported at the start."""
    monitor = LoginMonitor({"HOME": str(tmp_path)})
    monitor.refuse(NotLoggedIn("No login."))
    assert (caplog.messages, monitor.health()["status"]) == ([], "missing")
