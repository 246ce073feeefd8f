"""Claude Code is replaced while the gateway serves, as npm does when it updates it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support import cli
from tests.support.server import Server, eventually
from tests.support.stored_trials import store

CLIENTS = 8
# Of each client.
REQUESTS = 3
SETTINGS = {"TRIALS": "true", "POOL_SIZE": "1", "POOL_SIZE_OTHER": "1", "DEFAULT_PROFILE": "plain"}


def install(binary: Path, started: Path) -> None:
    """Put a `claude` there that notes in the file *started* that it has run a process."""
    fresh = binary.with_suffix(".new")
    note = f'case "$*" in *stream-json*) : > {started};; esac'
    fresh.write_text(f'#!/bin/sh\n{note}\nexec {cli.current()} "$@"\n')
    fresh.chmod(0o755)
    fresh.rename(binary)


def test_no_turn_is_lost(serve, tmp_path):
    """While 8 clients send requests, the program goes away and comes back as another one."""
    binary, first, second = (tmp_path / name for name in ("claude", "first", "second"))
    install(binary, first)
    trials = tmp_path / "trials"
    store(trials, str(binary))  # only the second one has to be tried
    stored = {**SETTINGS, "TRIALS_DIR": str(trials)}
    server: Server = serve(CLAUDE_CLI_PATH=str(binary), **stored).wait()
    answered = threading.Semaphore(0)

    def send_requests() -> list[int]:
        statuses = []
        for _ in range(REQUESTS):
            statuses.append(server.ask("hello")[0])
            answered.release()
        return statuses

    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(send_requests) for _ in range(CLIENTS)]
        for _ in range(CLIENTS):
            assert answered.acquire(timeout=120)
        binary.unlink()
        for _ in range(2):
            answered.acquire(timeout=2)  # the gateway meets the gap, if it needs a process
        install(binary, second)
        statuses = [status for client in clients for status in client.result()]
    assert statuses == [200] * (CLIENTS * REQUESTS)
    assert eventually(second.exists), server.log()
