"""Find out whether a port can be bound, and find the next free one."""

from __future__ import annotations

import errno
import os
import socket

# How many ports after the first are tried.
FURTHER = 20
HIGHEST = 65535
# What to do about an address that cannot be bound. For other reasons HOST is wrong.
REMEDIES = {
    errno.EADDRINUSE: "set another PORT, or stop what listens there",
    errno.EACCES: "set PORT to 1024 or higher: lower ones need root",
}


def inherited() -> bool:
    """Say whether the server gets its sockets: from systemd, or from the one that it replaces."""
    return "GUNICORN_FD" in os.environ or "LISTEN_FDS" in os.environ


def why_not(host: str, port: int) -> str | None:
    """Return why *port* of *host* cannot be bound, and what to do; None if it can."""
    try:
        _bind(host, port)
    except OSError as error:
        action = REMEDIES.get(error.errno or 0, "set HOST to an address of this machine")
        return f"{error.strerror or error}; {action}"
    return None


def first_free(host: str, port: int) -> int | None:
    """Return *port*, or if it is taken the next free one of FURTHER; None if all are taken.

    A port that cannot be bound for another reason is returned: the next ones would fail, too.
    """
    for candidate in range(port, min(port + FURTHER, HIGHEST) + 1):
        try:
            _bind(host, candidate)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
        return candidate
    return None


def _bind(host: str, port: int) -> None:
    """Bind as gunicorn does, and close the socket."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind((host, port))
