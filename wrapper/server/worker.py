"""The worker: gunicorn's threaded one, which clients cannot stop, and which ends with its turns."""

from __future__ import annotations

import errno
import selectors
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from wrapper.server.lingering import LingeringClose
from wrapper.server.malformed import error_for, response
from wrapper.server.request_parser import Parser
from wrapper.server.timeouts import Ear

# How long nobody is let in where there is nothing to let them in with.
PAUSE_SECONDS = 0.5
# How long a thread waits for the rest of a request that is answered already.
DRAIN_SECONDS = 1.0


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
    _lingering: LingeringClose

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

    def run(self) -> None:
        self._lingering = LingeringClose(self.poller, self._close)
        super().run()

    def wait_for_and_dispatch_events(self, timeout: float | None) -> None:
        super().wait_for_and_dispatch_events(self._lingering.timeout(timeout or 0.0))
        self._lingering.tick()

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        """Keep a connection that stays open, or close it, in the main thread without waiting.

        gunicorn has its main thread wait for a client to leave; a few that do not would keep
        everybody else waiting.
        """
        if fs.cancelled() or fs.exception() or fs.result():
            super().finish_request(conn, fs)
        else:
            self._lingering.add(conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer what gunicorn cannot parse in OpenAI's shape; gunicorn sends a page of HTML."""
        error = error_for(exc)
        id_, data = response(error)
        if error.status == 500:
            self.log.error("request %s failed", id_, exc_info=exc)
        else:  # the reason may quote a key or a body
            kind = type(exc).__name__
            self.log.info("refused request %s: %s, status %d", id_, kind, error.status)
        with suppress(OSError):
            client.sendall(data)

    def _keepalive_after(self, conn: Any, keepalive: Any) -> bool:
        """Drain what the app left of a short body; gunicorn lets that hold a thread for longer."""
        deadline = time.monotonic() + DRAIN_SECONDS
        return bool(keepalive) and bool(conn.parser.finish_body(deadline=deadline))

    def _close(self, conn: Any) -> None:
        self.nr_conns -= 1
        conn.close()

    def handle(self, conn: Any) -> Any:
        """Answer a request in a thread; return whether the connection stays open."""
        if self.cfg.is_ssl:
            return super().handle(conn)
        if conn.parser is None:
            heard: Any = Ear(conn.sock, self.patience)
            conn.parser = Parser(self.cfg, heard, conn.client)
        ear = conn.parser.unreader.sock
        ear.begin()
        # What a request was too slow with would else be taken for the next one.
        return super().handle(conn) and not ear.deaf

    def handle_request(self, req: Any, conn: Any) -> Any:
        try:
            return super().handle_request(req, conn)
        except (TimeoutError, BlockingIOError) as error:
            # To gunicorn it is a fault of its own that a client does not read.
            raise BrokenPipeError(errno.EPIPE, "the client does not read") from error

    def _cap_keepalive(self, deadline: float) -> None:
        """Wait for who has not said anything yet as long as for who might say something more."""
        super()._cap_keepalive(deadline)  # type: ignore[misc]
        for conn in self.pending_conns:
            conn.timeout = min(float(conn.timeout or 0), deadline)
