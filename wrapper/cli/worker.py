"""The command `worker`: it runs what was handed over for the background, and serves no HTTP."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Callable, Iterator
from typing import NoReturn

import click
from flask import current_app
from flask.cli import with_appcontext

from wrapper import start_checks
from wrapper.cli.group import MISTAKES, refusal
from wrapper.gateway import Gateway
from wrapper.server.config import DESCRIPTORS_PER_TURN, reasons_for_one_worker
from wrapper.services import resources
from wrapper.settings import Settings, SettingsError

STOPPING = (signal.SIGTERM, signal.SIGINT)

log = logging.getLogger(__name__)


@click.command("worker")
@with_appcontext
def work() -> None:
    """Run what was sent for the background, without serving HTTP.

    It takes the jobs that the gateways with the same SESSION_STORE, or the same JOBS_DB, have
    accepted. On SIGTERM it begins no more, and gives running turns GRACEFUL_TIMEOUT to finish.
    """
    gateway: Gateway | None = current_app.extensions.get("wrapper")
    if gateway is None:
        raise refusal(current_app.extensions[MISTAKES])
    check(gateway.settings)
    resources.return_large_blocks()
    resources.make_room(DESCRIPTORS_PER_TURN * gateway.settings.max_concurrent_turns)
    gateway.lifecycle.on_loaded = resources.keep_loaded_objects
    gateway.lifecycle.on_refusal = _halt
    gateway.lifecycle.serves = False
    with stop_signals() as wait:
        gateway.start()
        gateway.work.jobs.start(watch=True)
        log.info("the worker runs %d jobs at once", gateway.settings.background_turns)
        wait()
    log.info("the worker shuts down")
    gateway.drain()


def check(settings: Settings) -> None:
    """Raise SettingsError with all that keeps a worker from running jobs."""
    mistakes = [*start_checks.mistakes_of(settings), *reasons_for_one_worker(settings)]
    if not settings.background_turns:
        mistakes.append("BACKGROUND_TURNS: 0 runs no jobs; set another number for the worker")
    if mistakes:
        raise SettingsError(mistakes)


@contextlib.contextmanager
def stop_signals() -> Iterator[Callable[[], object]]:
    """Yield a function that waits until a signal asks to stop; a second one ends the process.

    The signal's number comes through a pipe, as a handler may not take a lock.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    previous_fd = signal.set_wakeup_fd(writing)
    previous = {number: signal.signal(number, _ignore) for number in STOPPING}
    try:
        yield lambda: os.read(reading, 1)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(previous_fd)
        os.close(reading)
        os.close(writing)


def _ignore(number: int, frame: object) -> None:
    """Do nothing: the number was written to the pipe."""


def _halt(reason: str) -> NoReturn:
    log.critical("The worker does not start: %s", reason)
    os._exit(1)
