"""gunicorn's settings for the gateway, each with its reason."""

import os
import socket
import struct
import sys
import threading

from gunicorn.arbiter import Arbiter

from wrapper import security
from wrapper.services.claude import orphans
from wrapper.settings import SettingsError, load


def refuse(*reasons):
    """Say why the server cannot start, and end."""
    sys.exit("\n".join(("The gateway does not start:", *(f"  {reason}" for reason in reasons))))


try:
    settings = load()
except SettingsError as error:
    refuse(*error.mistakes)

bind = (
    f"[{settings.host}]:{settings.port}"
    if ":" in settings.host
    else f"{settings.host}:{settings.port}"
)
worker_class = "gthread"
# What is kept in memory is kept by one process.
workers = 1
# A turn holds a thread; the rest answers /health and refusals when all turns are taken.
threads = settings.max_concurrent_turns + 8
worker_connections = 1000
# A worker's heartbeat, not a turn's time: that is MAX_TIMEOUT.
timeout = 60
# The turns get GRACEFUL_TIMEOUT, and then some seconds to say that they were ended.
graceful_timeout = settings.graceful_timeout + 10
# Longer than the idle time of most load balancers, which would else reuse a closed connection.
keepalive = 75
# A worker that recycles itself waits for its streams and answers nobody meanwhile.
max_requests = 0
# Threads and processes do not survive a fork.
preload_app = False
# Its socket in $HOME cannot be made in a container without one.
control_socket_disable = True
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - gunicorn makes its files there safely
worker_tmp_dir = SHARED_MEMORY if os.path.isdir(SHARED_MEMORY) else None

CLIENT_SECONDS = 30


def on_starting(server):
    if server.cfg.workers > 1:
        refuse("workers: several workers do not share what they know; use one, and more threads")
    if address := security.exposed(server.cfg.bind, settings):
        refuse(
            f"API_KEY: {address} can be reached from other machines; set API_KEY, or bind 127.0.0.1"
        )


def nworkers_changed(server, new_value, old_value):
    if new_value > 1:
        server.log.error("several workers do not share what they know; staying with one")
        server.num_workers = 1


def when_ready(server):
    """Bound how long a client may take to send or to read: gthread has no limits of its own.

    Linux passes a listener's options on to the connections that it accepts.
    """
    limit = struct.pack("ll", CLIENT_SECONDS, 0)
    for listener in server.LISTENERS:
        if listener.sock.family in (socket.AF_INET, socket.AF_INET6):
            listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
            listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def post_worker_init(worker):
    gateway = worker.wsgi.extensions["wrapper"]
    gateway.draining = lambda: not worker.alive

    def halt(reason):
        worker.log.critical("The gateway does not start: %s", reason)
        gateway.close()
        os._exit(Arbiter.WORKER_BOOT_ERROR)

    # In a thread of its own: it is told in one that closing the gateway waits for.
    gateway.refused = lambda reason: threading.Thread(target=halt, args=(reason,)).start()
    gateway.start()


def worker_exit(server, worker):
    if hasattr(worker, "wsgi"):
        worker.wsgi.extensions["wrapper"].close()


def child_exit(server, worker):
    """End what a worker that was killed has left running."""
    orphans.reap(worker.pid)
