"""The ports: whether one can be had, and which is the next that can."""

from __future__ import annotations

import errno
import socket

FURTHER = 20
HIGHEST = 65535


def why_not(host: str, port: int) -> str | None:
    """Return why *port* of *host* cannot be listened on, in the system's words; None if it can."""
    try:
        _bind(host, port)
    except OSError as error:
        return error.strerror or str(error)
    return None


def first_free(host: str, port: int) -> int | None:
    """Return *port*, or where it is taken the next free one of FURTHER; None where there is none.

    A port that cannot be had for another reason is returned: the next ones are no better.
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
    """Bind as gunicorn does, and let go again."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind((host, port))
