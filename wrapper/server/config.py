"""gunicorn's settings for the gateway, with their reasons, and its hooks."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from wrapper import prometheus, start_checks
from wrapper.auth import guard
from wrapper.server import log_setup, ports, start_line
from wrapper.server.timeouts import limit_connections
from wrapper.server.worker import DrainingWorker
from wrapper.services import resources
from wrapper.services.claude.processes.runtime_dir import RuntimeDirectory
from wrapper.settings import Settings, SettingsError
from wrapper.storage_checks import Level, check_storage

# The descriptors of a turn: its connection, a loop, and pipes to its process and to the next one,
# with copies.
DESCRIPTORS_PER_TURN = 16
# Threads beside those of turns: for slow clients, for refusals, and for /health.
SPARE_THREADS = 256
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - gunicorn makes its files there safely

# Removed when the server ends. A reload calls all hooks again, and keeps it.
_cleanup = ExitStack()
# Variables that name what is removed then.
_own_variables: set[str] = set()


def refuse(*reasons: str) -> NoReturn:
    """Print why the server cannot start, and end the program."""
    sys.exit("\n".join(("The gateway does not start:", *(f"  {reason}" for reason in reasons))))


def configuration() -> dict[str, Any]:
    """Return gunicorn's settings by name.

    If the gateway's settings are wrong, it prints why and ends the program.
    """
    settings = _valid_settings()
    log_setup.configure(settings)
    return {
        "bind": address(settings),
        **_processes(),
        **_threads(settings),
        **_times(settings),
        **_files(),
        # A header SCRIPT_NAME from any client would otherwise change the path.
        "forwarder_headers": "",
        "logger_class": log_setup.server_logger(settings),
        **_hooks(settings),
    }


def _valid_settings() -> Settings:
    try:
        return start_checks.load()
    except SettingsError as error:
        refuse(*error.mistakes)


def _processes() -> dict[str, Any]:
    return {
        "worker_class": "wrapper.server.worker.DrainingWorker",
        # State in memory belongs to one process, and each process has warm ones of its own.
        "workers": 1,
        # A worker that recycles itself answers nobody while it waits for its streams.
        "max_requests": 0,
        # Threads and processes do not survive a fork.
        "preload_app": False,
    }


def _threads(settings: Settings) -> dict[str, Any]:
    # Each running or waiting turn needs a thread, and so does each request that is being sent.
    # Threads are made when needed. An idle connection needs none.
    threads = settings.max_concurrent_turns + settings.max_queue + SPARE_THREADS
    return {"threads": threads, "worker_connections": threads + 1000}


def _times(settings: Settings) -> dict[str, Any]:
    return {
        # The time for a worker's heartbeat. A turn's time is MAX_TIMEOUT.
        "timeout": 60,
        # Turns get GRACEFUL_TIMEOUT, and then some seconds to report that they were ended.
        "graceful_timeout": settings.graceful_timeout + 10,
        # Longer than the idle time of most load balancers, which could otherwise reuse a
        # connection that is just being closed.
        "keepalive": 75,
    }


def _files() -> dict[str, Any]:
    return {
        # In a container without $HOME its socket cannot be made.
        "control_socket_disable": True,
        "worker_tmp_dir": SHARED_MEMORY if os.path.isdir(SHARED_MEMORY) else None,
        # By itself gunicorn does not watch a module whose import failed.
        "reload_extra_files": [str(Path(__file__).parents[1] / "**" / "*.py")],
    }


def _hooks(settings: Settings) -> dict[str, Any]:
    return {
        "on_starting": _on_starting(settings),
        "nworkers_changed": _nworkers_changed(settings),
        "when_ready": _when_ready(settings),
        "pre_exec": pre_exec,
        "post_fork": post_fork,
        "post_worker_init": post_worker_init,
        "worker_exit": worker_exit,
        "child_exit": child_exit,
        "on_exit": on_exit,
    }


def address(settings: Settings) -> str:
    """Return HOST:PORT, with brackets around an IPv6 address."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{host}:{settings.port}"


def _on_starting(settings: Settings) -> Callable[[Arbiter], None]:
    def on_starting(server: Arbiter) -> None:
        if server.cfg.workers > 1 and (reasons := reasons_for_one_worker(settings)):
            refuse(*reasons)
        _refuse_exposed(server.cfg.bind, settings)
        if server.cfg.workers > 1 and prometheus.installed():
            _share_metrics()
        _report_problems(server, settings)
        _reload_only_if_right(server)

    return on_starting


def _refuse_exposed(binds: Iterable[str], settings: Settings) -> None:
    if exposed := guard.exposed(binds, settings):
        refuse(
            f"API_KEY: {exposed} can be reached from other machines; "
            "set API_KEY or API_KEYS_FILE, or bind 127.0.0.1"
        )


def _reload_only_if_right(server: Any) -> None:
    """Make *server* ignore SIGHUP while settings are wrong.

    gunicorn would end without its workers. With the old configuration it would end, too, because
    its new workers could not start.
    """
    reload = server.handle_hup

    def handle_hup() -> None:
        known = set(os.environ)
        try:
            start_checks.load()
        except SettingsError as error:
            # What .env has added would stay, even after it is corrected there.
            for name in os.environ.keys() - known:
                del os.environ[name]
            server.log.error("Nothing is reloaded, as the gateway would not start: %s", error)
        else:
            reload()

    server.handle_hup = handle_hup


def _report_problems(server: Any, settings: Settings) -> None:
    """Log what impairs the gateway, and say what to do if its port is taken.

    gunicorn tries for some seconds to bind the port, which a previous server may be leaving.
    """
    for finding in check_storage(settings):
        if finding.level is not Level.OK:
            server.log.warning("%s: %s", finding.subject, finding.message)
    own = (settings.host, settings.port)
    if own in server.cfg.address and not ports.inherited() and (why := ports.why_not(*own)):
        server.log.error("PORT: %s port %d: %s", *own, why)


def _share_metrics() -> None:
    """Make a directory in which the workers share their metrics, unless the operator set one."""
    if prometheus.SHARED not in os.environ:
        directory = RuntimeDirectory()
        _cleanup.callback(directory.remove)
        os.environ[prometheus.SHARED] = str(directory.path)
        _own_variables.add(prometheus.SHARED)


def _nworkers_changed(settings: Settings) -> Callable[[Any, int, int | None], None]:
    def nworkers_changed(server: Any, new_value: int, old_value: int | None) -> None:
        reasons = reasons_for_one_worker(settings)
        if server.cfg.workers < 2:
            reasons.append("a server that began with one shares nothing; start it with -w 2")
        if new_value > 1 and reasons:
            server.log.error("staying with one worker: %s", "; ".join(reasons))
            server.num_workers = 1

    return nworkers_changed


def reasons_for_one_worker(settings: Settings) -> list[str]:
    """Return why there can be only one worker; each reason says what to do."""
    reasons = []
    if settings.session_store == "memory":
        reasons.append(
            "SESSION_STORE: several workers do not share memory; set it to the URL of a Redis "
            "(redis://HOST:PORT/0) or to none, or use one worker with more threads"
        )
    if settings.api_keys_file and not settings.redis_url:
        reasons.append(
            "REDIS_URL: without it each worker counts a key's rates alone; set it, or use one "
            "worker with more threads"
        )
    return reasons


def _when_ready(settings: Settings) -> Callable[[Arbiter], None]:
    def when_ready(server: Arbiter) -> None:
        # Sockets from systemd, or from the server before an upgrade, may have other addresses.
        _refuse_exposed((str(each).split("://")[-1] for each in server.LISTENERS), settings)
        for listener in server.LISTENERS:
            limit_connections(listener.sock, settings.client_timeout)

    return when_ready


def pre_exec(server: Arbiter) -> None:
    """On SIGUSR2, keep what ends with this server from the next one, which would rely on it.

    After a reload gunicorn takes this server's variables for those that it was started with.
    """
    for name in _own_variables:
        server.cfg.env_orig.pop(name, None)


def post_fork(server: Arbiter, worker: Worker) -> None:
    """Pass signals on to the worker. With --reload, forget modules whose code may be old.

    Until the worker has its own handlers, the arbiter's copied ones queue its signals. Nobody would
    read them, and the arbiter would wait in vain for a worker that it has told to end.
    """
    if isinstance(worker, DrainingWorker):
        worker.early_signals = server.SIG_QUEUE
    if server.cfg.reload:
        for name in [name for name in sys.modules if name.split(".")[0] == "wrapper"]:
            del sys.modules[name]


def post_worker_init(worker: DrainingWorker) -> None:
    gateway = _gateway(worker)
    if gateway is None:
        return
    resources.return_large_blocks()
    resources.make_room(worker.cfg.worker_connections + DESCRIPTORS_PER_TURN * worker.cfg.threads)
    gateway.lifecycle.draining = lambda: worker.draining
    gateway.lifecycle.workers = worker.cfg.workers
    gateway.lifecycle.on_loaded = resources.keep_loaded_objects
    worker.busy = lambda: gateway.limits.admission.busy() or gateway.work.jobs.busy()
    worker.client_timeout = gateway.settings.client_timeout

    def halt(reason: str) -> None:
        worker.log.critical("The gateway does not start: %s", reason)
        gateway.close()
        os._exit(Arbiter.WORKER_BOOT_ERROR)

    # In another thread: closing the gateway waits for the thread that reports the refusal.
    gateway.lifecycle.on_refusal = lambda reason: threading.Thread(
        target=halt, args=(reason,)
    ).start()
    gateway.start()
    start_line.log_start(gateway, map(str, worker.sockets))


def worker_exit(server: Arbiter, worker: Worker) -> None:
    if gateway := _gateway(worker):
        gateway.close()


def child_exit(server: Arbiter, worker: Worker) -> None:
    prometheus.forget(int(worker.pid))


def on_exit(server: Arbiter) -> None:
    _cleanup.close()


def _gateway(worker: Worker) -> Any:
    """Return the worker's gateway, or None if its code could not be loaded."""
    app = getattr(worker, "wsgi", None)
    return getattr(app, "extensions", {}).get("wrapper")
