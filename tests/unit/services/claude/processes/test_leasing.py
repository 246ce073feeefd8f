"""Leases: where the process of a lease comes from."""

from typing import cast

import pytest

from wrapper.services.claude.processes.leasing import Lease
from wrapper.services.claude.processes.parking import ParkedProcess
from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.state import ProcessState
from wrapper.services.turn import Message, SessionKey

PROCESS = cast(Process, object())
SESSION, STATE = SessionKey("alice", "s", "1"), ProcessState((Message("user", ("Hi",)),))


@pytest.mark.parametrize(
    ("lease", "source"),
    [
        (Lease(PROCESS), "warm"),
        (Lease(PROCESS, cold=True), "cold"),
        (Lease(PROCESS, parked=ParkedProcess(SESSION, PROCESS, ())), "parked"),
        (Lease(PROCESS, parked=ParkedProcess(None, PROCESS, (), STATE)), "parked"),
        (Lease(PROCESS, parked=ParkedProcess(None, PROCESS, ())), "recycled"),
    ],
)
def test_source(lease, source):
    """A process was ready or not, or has run a turn before, of this conversation or another."""
    assert lease.source == source
