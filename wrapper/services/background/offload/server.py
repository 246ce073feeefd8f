"""The offload's fork server: a program whose children run tasks within limits.

The gateway (process.py) starts it, and sends it a socket for each child that it wants. A child
answers one job after another on its socket. The kernel ends it if a job exceeds a limit.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

HEAD = struct.Struct(">II")
TASKS = {
    "compile": ("wrapper.services.json_schema.tasks", "compile_schema"),
    "check": ("wrapper.services.json_schema.tasks", "check_answer"),
    "measure": ("wrapper.services.attachments.decoding", "measure"),
    "decode": ("wrapper.services.attachments.decoding", "decode"),
}
# A child's address space in bytes. Its code takes some 50 MiB of it.
MEMORY = 256 * 1024**2
NICE = 5

Task = Callable[..., Any]


def receive(sock: socket.socket) -> tuple[dict[str, Any], bytes] | None:
    """Return the next message, or None if the other side has closed the connection."""
    if (head := _read(sock, HEAD.size)) is None:
        return None
    sizes = HEAD.unpack(head)
    header, body = _read(sock, sizes[0]), _read(sock, sizes[1])
    return None if header is None or body is None else (json.loads(header), body)


def send(sock: socket.socket, header: dict[str, Any], body: bytes = b"") -> None:
    """Send a message: *header* as JSON, and *body* unchanged."""
    text = json.dumps(header).encode()
    sock.sendall(HEAD.pack(len(text), len(body)) + text + body)


def _read(sock: socket.socket, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        chunk = sock.recv(min(size - len(data), 1024**2))
        if not chunk:
            return None
        data += chunk
    return bytes(data)


def main(control: socket.socket, paths: list[str]) -> None:
    """Fork a child for each socket until the gateway closes the connection, then end them all."""
    tasks = _load(paths)
    _protect()
    children: set[int] = set()

    def reap(*_: object) -> None:
        with suppress(ChildProcessError):
            while pid := os.waitpid(-1, os.WNOHANG)[0]:
                children.discard(pid)

    signal.signal(signal.SIGCHLD, reap)
    while True:
        data, descriptors, *_ = socket.recv_fds(control, 1, 1)
        if not data:
            break
        with socket.socket(fileno=descriptors[0]) as sock:
            if (pid := os.fork()) == 0:
                control.close()
                _work(sock, tasks)
            children.add(pid)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for pid in children:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _load(paths: list[str]) -> dict[str, Task]:
    """Import the tasks only: the real package would import the whole gateway."""
    sys.path[:] = paths
    package = ModuleType("wrapper")
    package.__path__ = [str(Path(__file__).absolute().parents[3])]
    sys.modules["wrapper"] = package
    return {
        name: getattr(importlib.import_module(module), function)
        for name, (module, function) in TASKS.items()
    }


def _protect() -> None:
    """Make the kernel end these processes first if memory is short, and let them write no files."""
    os.nice(NICE)
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(limit, (0, 0))
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # on Linux
        file.write("1000")


def _work(sock: socket.socket, tasks: dict[str, Task]) -> NoReturn:
    """Answer jobs until the gateway closes the connection."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        send(sock, {"pid": os.getpid()})
        while job := receive(sock):
            header, body = job
            _limit(header["cpu"], header["memory"])
            answer = _run(tasks[header["task"]], body, header["options"])
            signal.setitimer(signal.ITIMER_PROF, 0)
            send(sock, answer)
    finally:
        os._exit(0)


def _limit(cpu: float, memory: int | None) -> None:
    """Limit this process to *cpu* seconds of work and *memory* bytes; the kernel enforces both.

    Only Linux can limit the memory. Elsewhere it is None, and the gateway watches it.
    """
    signal.setitimer(signal.ITIMER_PROF, cpu)
    if memory is None:
        return
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (memory, resource.RLIM_INFINITY))


def _run(task: Task, body: bytes, options: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"result": task(body, **options)}
    except (MemoryError, RecursionError):
        return {"exceeded": True}


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), json.loads(sys.argv[2]))
