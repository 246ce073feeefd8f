"""The account: what is asked of a process, how often, and what of it is told."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from wrapper.services.claude.status import FRESH_SECONDS, Account

SAID = {
    "account": {
        "email": "me@example.com",
        "organization": "Mine",
        "subscriptionType": "Claude Max",
        "apiProvider": "firstParty",
    }
}


class Fake:
    def __init__(self, fault=None):
        self.fault = fault

    def ask(self, request, seconds):
        if self.fault:
            raise self.fault
        return SAID


class World:
    def __init__(self, fault=None):
        self.fault = fault
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
        self.leased.append(Fake(self.fault))
        future: Future[Any] = Future()
        if not self.late:
            future.set_result(self.leased[-1])
        return future


def test_nothing_personal_is_told():
    """Provider and subscription are told; neither the address nor the organisation is."""
    world = World()
    assert world.read() == {"provider": "firstParty", "subscription": "Claude Max"}
    assert world.discarded == world.leased


def test_asked_once():
    """A process is used up at most every FRESH_SECONDS, however often is asked."""
    world = World()
    world.read()
    world.now = FRESH_SECONDS - 1
    world.read()
    assert len(world.leased) == 1
    world.now = FRESH_SECONDS
    world.read()
    assert len(world.leased) == 2


def test_asked_again_after_a_login():
    """A login or a logout is asked about at once."""
    world = World()
    world.read()
    world.stamp = 1
    world.read()
    assert len(world.leased) == 2


def test_a_process_that_fails():
    """A process that does not answer is discarded too, and the next call asks again."""
    world = World(fault=TimeoutError())
    for _ in range(2):
        with pytest.raises(TimeoutError):
            world.read()
    assert world.discarded == world.leased
    assert len(world.leased) == 2


def test_a_process_that_does_not_come():
    """A process that does not come in time is not waited for, and stopped if it comes later."""
    world = World()
    world.late = True
    with pytest.raises(TimeoutError):
        world.read()
    assert len(world.abandoned) == 1
