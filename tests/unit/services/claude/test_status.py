"""The account: how often it is asked for, and what of it is passed on."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from wrapper.services.claude.status import FRESH_SECONDS, Account

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
