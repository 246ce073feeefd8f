"""The worker: gunicorn's threaded one, which clients cannot stop, and which ends with its turns."""

from __future__ import annotations

import errno
import selectors
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from gunicorn.http.parser import RequestParser
from gunicorn.workers.gthread import ThreadWorker

from wrapper.patience import Ear, take_leave

# How long nobody is let in where there is nothing to let them in with.
PAUSE_SECONDS = 0.5


class Threads(ThreadPoolExecutor):
    """Threads that are made as they are needed; where none can be, those that there are do it."""

    def _adjust_thread_count(self) -> None:
        try:
            super()._adjust_thread_count()
        except RuntimeError:
            if not self._threads:
                raise


class DrainingWorker(ThreadWorker):
    """Told to stop, it is `draining` until no turn runs, and only then deaf.

    So whoever asks meanwhile is told, and need not wait for nobody. *busy* says whether turns run,
    and *patience* how many seconds a client may take to ask. What gunicorn's would die of, and its
    turns with it, it waits for to pass: a lack of descriptors or of threads where someone calls.
    """

    draining = False
    _pause_ends = 0.0
    busy: Callable[[], bool] = staticmethod(lambda: False)
    patience = 30

    def get_thread_pool(self) -> ThreadPoolExecutor:
        return Threads(self.cfg.threads)

    def accept(self, listener: socket.socket) -> None:
        try:
            super().accept(listener)
        except OSError as error:
            self.log.error("nobody is let in for a moment: %s", error)
            self._pause_ends = time.monotonic() + PAUSE_SECONDS
            self.set_accept_enabled(False)

    def enqueue_req(self, conn: Any) -> None:
        """Give a request to a thread, once its client has said the first word of it.

        gunicorn has a thread wait for that word; many that do not say it would take the threads.
        """
        if conn.initialized or conn.data_ready:
            super().enqueue_req(conn)
            return
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + self.cfg.keepalive
        self.pending_conns.append(conn)
        heard = partial(self.on_pending_socket_readable, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, heard)

    def set_accept_enabled(self, enabled: bool | None) -> None:
        """Let callers in, or not; gunicorn asks for it again each second at least."""
        super().set_accept_enabled(bool(enabled) and time.monotonic() >= self._pause_ends)

    def handle_exit(self, sig: int, frame: Any) -> None:
        self.draining = True
        if self.busy():
            self.method_queue.defer(lambda: None)  # which wakes the loop, and so `notify`
        else:
            super().handle_exit(sig, frame)

    def notify(self) -> None:
        super().notify()
        if self.draining and not self.busy():
            self.alive = False

    def handle(self, conn: Any) -> Any:
        """Answer a request, and take leave of its client where the connection is not kept.

        gunicorn has its main thread wait for a client to leave; a few that do not would keep
        everybody else waiting.
        """
        kept = self._hear(conn)
        if not kept:
            take_leave(conn.sock)
        return kept

    def handle_request(self, req: Any, conn: Any) -> Any:
        try:
            return super().handle_request(req, conn)
        except (TimeoutError, BlockingIOError) as error:
            # To gunicorn it is a fault of its own that a client does not read.
            raise BrokenPipeError(errno.EPIPE, "the client does not read") from error

    def _hear(self, conn: Any) -> Any:
        if self.cfg.is_ssl:
            return super().handle(conn)
        if conn.parser is None:
            ear: Any = Ear(conn.sock, self.patience)
            conn.parser = RequestParser(self.cfg, ear, conn.client)
        ear = conn.parser.unreader.sock
        ear.begin()
        # What a request was too slow with would else be taken for the next one.
        return super().handle(conn) and not ear.deaf

    def _cap_keepalive(self, deadline: float) -> None:
        """Wait for who has not said anything yet as long as for who might say something more."""
        super()._cap_keepalive(deadline)  # type: ignore[misc]
        for conn in self.pending_conns:
            conn.timeout = min(float(conn.timeout or 0), deadline)
