"""The stages of processes: which may boot, and which are to be stopped."""

from pathlib import Path
from typing import cast

from wrapper.services.claude.processes.process import Process
from wrapper.services.claude.processes.stages import Stages


class FakeProcess:
    home = Path("/a")


def added(stages):
    process = cast(Process, FakeProcess())
    assert stages.add(process)
    return process


def test_stop_once():
    """A process is stopped once, however often that is asked for."""
    stages = Stages()
    process = added(stages)
    assert stages.begin_stop(process)
    assert not stages.begin_stop(process)


def test_unknown_process():
    """A process that has been stopped and removed is not stopped again."""
    stages = Stages()
    process = added(stages)
    stages.remove(process)
    assert not stages.begin_stop(process)


def test_boot_that_is_stopped():
    """A boot that ends after its process was stopped does not make it run again."""
    stages = Stages()
    process = added(stages)
    stages.begin_stop(process)
    stages.end_boot(process)
    assert not stages.begin_stop(process)


def test_close():
    """After the end no process may boot; those that boot then are told apart from the others."""
    stages = Stages()
    booting, booted = added(stages), added(stages)
    stages.end_boot(booted)
    assert stages.close() == [booting]
    assert stages.booted() == [booted]
    assert not stages.add(cast(Process, FakeProcess()))


def test_directory_in_use():
    """A directory is in use until its process is removed."""
    stages = Stages()
    process = added(stages)
    assert stages.uses(Path("/a"))
    assert not stages.uses(Path("/b"))
    stages.remove(process)
    assert not stages.uses(Path("/a"))
