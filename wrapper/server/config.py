"""The server: gunicorn's settings for the gateway, each with its reason, and its hooks."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from wrapper import engines, prometheus
from wrapper.auth import guard
from wrapper.auth.key_file import open_keys
from wrapper.server import log_setup
from wrapper.server.timeouts import bound
from wrapper.server.worker import DrainingWorker
from wrapper.services import resources
from wrapper.services.claude.processes.runtime_dir import RuntimeDirectory
from wrapper.services.limits.rate_limits import open_rates
from wrapper.settings import Settings, SettingsError, load

# Its connection, a loop, pipes to a process and copies of them, and those of the next process.
DESCRIPTORS_A_TURN = 16
# Beside the turns': for who sends or reads slowly, for refusals, and for /health.
SPARE_THREADS = 256
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - gunicorn makes its files there safely

# What is to be removed when the server ends. It stays over a reload, which asks for all hooks anew.
_ending = ExitStack()


def refuse(*reasons: str) -> NoReturn:
    """Say why the server cannot start, and end."""
    sys.exit("\n".join(("The gateway does not start:", *(f"  {reason}" for reason in reasons))))


def configuration() -> dict[str, Any]:
    """Return gunicorn's settings by name, after the settings of now.

    Ends the program, and says why, where these are wrong.
    """
    try:
        settings = load()
        engines.check(settings)
        open_keys(settings)
        if settings.redis_url:
            open_rates(settings)
    except SettingsError as error:
        refuse(*error.mistakes)
    threads = settings.max_concurrent_turns + settings.max_queue + SPARE_THREADS
    return {
        "bind": address(settings),
        "worker_class": "wrapper.server.worker.DrainingWorker",
        # What is kept in memory is kept by one process, and each has warm ones of its own.
        "workers": 1,
        # Who runs or waits holds a thread, and so does a request that is on its way; each is made
        # when it is needed first. A connection that is only held open needs none.
        "threads": threads,
        "worker_connections": threads + 1000,
        # A worker's heartbeat, not a turn's time: that is MAX_TIMEOUT.
        "timeout": 60,
        # The turns get GRACEFUL_TIMEOUT, and then some seconds to say that they were ended.
        "graceful_timeout": settings.graceful_timeout + 10,
        # Longer than the idle time of most load balancers, which would else reuse a closed
        # connection.
        "keepalive": 75,
        # A worker that recycles itself waits for its streams and answers nobody meanwhile.
        "max_requests": 0,
        # Threads and processes do not survive a fork.
        "preload_app": False,
        # Its socket in $HOME cannot be made in a container without one.
        "control_socket_disable": True,
        # A header SCRIPT_NAME would else move the path, for whoever can reach the server.
        "forwarder_headers": "",
        "logger_class": log_setup.server_logger(settings),
        "worker_tmp_dir": SHARED_MEMORY if os.path.isdir(SHARED_MEMORY) else None,
        # A module that could not be imported is none that gunicorn would watch by itself.
        "reload_extra_files": [str(Path(__file__).parents[1] / "**" / "*.py")],
        "on_starting": _on_starting(settings),
        "nworkers_changed": _nworkers_changed(settings),
        "when_ready": _when_ready(settings),
        "post_fork": post_fork,
        "post_worker_init": post_worker_init,
        "worker_exit": worker_exit,
        "child_exit": child_exit,
        "on_exit": on_exit,
    }


def address(settings: Settings) -> str:
    """Return HOST and PORT as one text; an IPv6 address stands in brackets."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{host}:{settings.port}"


def _on_starting(settings: Settings) -> Callable[[Arbiter], None]:
    def on_starting(server: Arbiter) -> None:
        if server.cfg.workers > 1 and (reasons := against_workers(settings)):
            refuse(*reasons)
        if exposed := guard.exposed(server.cfg.bind, settings):
            refuse(
                f"API_KEY: {exposed} can be reached from other machines; "
                "set API_KEY or API_KEYS_FILE, or bind 127.0.0.1"
            )
        if (
            server.cfg.workers > 1
            and prometheus.installed()
            and prometheus.SHARED not in os.environ
        ):
            root = RuntimeDirectory()
            _ending.callback(root.remove)
            os.environ[prometheus.SHARED] = str(root.path)

    return on_starting


def _nworkers_changed(settings: Settings) -> Callable[[Any, int, int | None], None]:
    def nworkers_changed(server: Any, new_value: int, old_value: int | None) -> None:
        if new_value > 1 and (reasons := against_workers(settings)):
            server.log.error("staying with one worker: %s", "; ".join(reasons))
            server.num_workers = 1

    return nworkers_changed


def against_workers(settings: Settings) -> list[str]:
    """Return why there may be no more than one worker, each reason with its mend."""
    found = []
    if settings.session_store == "memory":
        found.append(
            "SESSION_STORE: several workers do not share a memory; set it to the URL of a Redis "
            "(redis://HOST:PORT/0) or to none, or use one worker, with more threads"
        )
    if settings.api_keys_file and not settings.redis_url:
        found.append(
            "REDIS_URL: several workers do not count a key's rates together; set it, or use one "
            "worker, with more threads"
        )
    return found


def _when_ready(settings: Settings) -> Callable[[Arbiter], None]:
    def when_ready(server: Arbiter) -> None:
        for listener in server.LISTENERS:
            if listener.sock.family in (socket.AF_INET, socket.AF_INET6):
                bound(listener.sock, settings.client_timeout)

    return when_ready


def post_fork(server: Arbiter, worker: Worker) -> None:
    """Forget, where code is reloaded, the modules that came with the fork: they are of before."""
    if server.cfg.reload:
        for name in [name for name in sys.modules if name.split(".")[0] == "wrapper"]:
            del sys.modules[name]


def post_worker_init(worker: DrainingWorker) -> None:
    gateway = _gateway(worker)
    if gateway is None:
        return
    resources.return_large_blocks()
    resources.make_room(worker.cfg.worker_connections + DESCRIPTORS_A_TURN * worker.cfg.threads)
    gateway.draining = lambda: worker.draining
    worker.busy = gateway.admission.busy
    worker.patience = gateway.settings.client_timeout

    def halt(reason: str) -> None:
        worker.log.critical("The gateway does not start: %s", reason)
        gateway.close()
        os._exit(Arbiter.WORKER_BOOT_ERROR)

    # In a thread of its own: it is told in one that closing the gateway waits for.
    gateway.refused = lambda reason: threading.Thread(target=halt, args=(reason,)).start()
    gateway.start()


def worker_exit(server: Arbiter, worker: Worker) -> None:
    if gateway := _gateway(worker):
        gateway.close()


def child_exit(server: Arbiter, worker: Worker) -> None:
    prometheus.forget(int(worker.pid))


def on_exit(server: Arbiter) -> None:
    _ending.close()


def _gateway(worker: Worker) -> Any:
    """Return the worker's gateway; there is none where its code could not be loaded."""
    app = getattr(worker, "wsgi", None)
    return getattr(app, "extensions", {}).get("wrapper")
