"""The supply: how a turn is told to have had its process."""

from typing import cast

import pytest

from wrapper.services.claude.processes.leasing import Lease
from wrapper.services.claude.processes.parking import ParkedProcess
from wrapper.services.claude.processes.process import Process
from wrapper.services.turn import Message, SessionKey

PROCESS = cast(Process, object())
SESSION, KNOWN = SessionKey("alice", "s", "1"), (Message("user", ("Hi",)),)


@pytest.mark.parametrize(
    ("lease", "source"),
    [
        (Lease(PROCESS, None, None), "warm"),
        (Lease(PROCESS, None, None, cold=True), "cold"),
        (Lease(PROCESS, None, ParkedProcess(SESSION, PROCESS, ())), "parked"),
        (Lease(PROCESS, None, ParkedProcess(None, PROCESS, (), KNOWN)), "parked"),
        (Lease(PROCESS, None, ParkedProcess(None, PROCESS, ())), "recycled"),
    ],
)
def test_source(lease, source):
    """A process was ready or not, or it had a turn before: of this conversation or of another."""
    assert lease.source == source
