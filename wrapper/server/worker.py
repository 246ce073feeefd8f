"""gunicorn's threaded worker, hardened against slow clients, which drains before it ends."""

from __future__ import annotations

import errno
import os
import queue
import selectors
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn

from gunicorn.workers.gthread import ThreadWorker

from wrapper import host
from wrapper.logs.redaction import Redacted
from wrapper.server.lingering import LingeringClose
from wrapper.server.malformed import error_for, response
from wrapper.server.request_parser import Parser
from wrapper.server.timeouts import RequestSocket, limit_connections

# The pause after accept() fails, for example because no file descriptor is left (EMFILE).
PAUSE_SECONDS = 0.5
# The time that a thread waits for the rest of a request that it has answered.
DRAIN_SECONDS = 1.0
# The time that a worker takes at most to end on SIGINT or SIGQUIT, also if clients keep its threads
# waiting. After SIGTERM it is shorter: gunicorn kills a draining worker 2 s after SIGINT.
QUIT_SECONDS, QUIT_SECONDS_IF_DRAINING = 5.0, 1.5
# A draining worker quits this long before gunicorn would kill it.
MARGIN_SECONDS = 3.0


class ThreadPool(ThreadPoolExecutor):
    """Threads, made when needed. If the system allows no more, work waits for those that exist."""

    def _adjust_thread_count(self) -> None:
        try:
            super()._adjust_thread_count()
        except RuntimeError:
            if not self._threads:
                raise


class DrainingWorker(ThreadWorker):
    """Answers requests in threads. On SIGTERM it keeps answering until running turns finish.

    While it is `draining`, the gateway answers with 503, so that callers learn of it at once.
    `busy` returns whether turns run, and a client may take `client_timeout` seconds to send a
    request. If file descriptors or threads run out, it waits for some; gunicorn's worker would die,
    and its turns with it.

    A signal handler runs between any two steps of the main thread, which may hold any lock. So the
    handlers take none: they note the signal, and the main loop handles it. `early_signals` are
    those that came before this worker had handlers of its own.
    """

    draining = False
    _pause_ends = 0.0
    busy: Callable[[], bool] = staticmethod(lambda: False)
    client_timeout = 30
    early_signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    _lingering: LingeringClose
    _deadline = float("inf")

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._signals: deque[int] = deque()

    def get_thread_pool(self) -> ThreadPoolExecutor:
        return ThreadPool(self.cfg.threads)

    def accept(self, listener: socket.socket) -> None:
        try:
            super().accept(listener)
        except OSError as error:
            self.log.error("accepting no connections for %s s: %s", PAUSE_SECONDS, error)
            self._pause_ends = time.monotonic() + PAUSE_SECONDS
            self.set_accept_enabled(False)

    def enqueue_req(self, conn: Any) -> None:
        """Give a connection to a thread once its client has sent the first byte.

        gunicorn has a thread wait for that byte; silent clients would occupy all threads.
        """
        if conn.initialized or conn.data_ready:
            super().enqueue_req(conn)
            return
        if not host.LINUX:  # which takes the listener's limits over
            with suppress(OSError):  # the client has left, as macOS reports here
                limit_connections(conn.sock, self.client_timeout)
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + self.cfg.keepalive
        self.pending_conns.append(conn)
        on_readable = partial(self.on_pending_socket_readable, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, on_readable)

    def set_accept_enabled(self, enabled: bool | None) -> None:
        """Accept connections or not; gunicorn calls this at least once a second."""
        super().set_accept_enabled(bool(enabled) and time.monotonic() >= self._pause_ends)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Note the signal. The interpreter wakes the loop: it also writes to the pipe PIPE."""
        self._signals.append(sig)

    handle_quit = handle_usr1 = handle_exit

    def handle_winch(self, sig: int, fname: Any) -> None:
        """Ignore the signal; gunicorn's worker logs it, which takes a lock."""

    def handle_abort(self, sig: int, frame: Any) -> None:
        """End at once. gunicorn sends SIGABRT because the loop hangs, so nothing else can."""
        self.cfg.worker_abort(self)
        os._exit(1)

    def init_signals(self) -> None:
        super().init_signals()
        with suppress(queue.Empty):
            while True:
                self._signals.append(self.early_signals.get_nowait())

    def run(self) -> None:
        self._lingering = LingeringClose(self.poller, self._close)
        self.poller.register(self.PIPE[0], selectors.EVENT_READ, lambda pipe: os.read(pipe, 4096))
        self._handle_signals()
        super().run()

    def wait_for_and_dispatch_events(self, timeout: float | None) -> None:
        super().wait_for_and_dispatch_events(self._lingering.timeout(timeout or 0.0))
        self._lingering.tick()
        self._handle_signals()

    def _handle_signals(self) -> None:
        while self._signals:
            self._handle_signal(self._signals.popleft())
        if self.draining and not self.busy():
            self.alive = False
        if time.monotonic() >= self._deadline:
            self._quit()

    def _handle_signal(self, number: int) -> None:
        if number == signal.SIGTERM and not self.draining:
            self.draining = True
            limit = self.cfg.graceful_timeout
            self._deadline = time.monotonic() + limit - min(MARGIN_SECONDS, limit / 2)
        elif number in (signal.SIGINT, signal.SIGQUIT):
            self.cfg.worker_int(self)
            self._quit()
        elif number == signal.SIGUSR1:
            self.log.reopen_files()

    def _quit(self) -> NoReturn:
        """End the process, and its turns with it. Threads that hang do not delay it for long."""
        self.alive = False
        self.tpool.shutdown(wait=False, cancel_futures=True)
        seconds = QUIT_SECONDS_IF_DRAINING if self.draining else QUIT_SECONDS
        end = threading.Timer(seconds, os._exit, (0,))
        end.daemon = True
        with suppress(RuntimeError):  # no thread is left; gunicorn kills the process later
            end.start()
        raise SystemExit(0)

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        """Keep a connection open or close it, without blocking the main thread.

        gunicorn's main thread waits until a client leaves; a few clients that stay would make all
        others wait.
        """
        if fs.cancelled() or fs.exception() or fs.result():
            super().finish_request(conn, fs)
        else:
            self._lingering.add(conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer a request that gunicorn cannot parse as the gateway does, instead of in HTML."""
        error = error_for(exc)
        id_, data = response(error, getattr(exc, "path", ""))
        if error.status == 500:
            self.log.error("request %s failed", id_, exc_info=exc)
        else:
            facts = {"id": id_, "client": addr[0] if addr else None, "outcome": error.code}
            facts |= {"status": error.status, "error": Redacted(exc)}
            self.log.info("refused", extra={"facts": facts})
        with suppress(OSError):
            client.sendall(data)

    def _keepalive_after(self, conn: Any, keepalive: Any) -> bool:
        """Drain the unread rest of a short body; with gunicorn's limit it holds a thread longer."""
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
            sock: Any = RequestSocket(conn.sock, self.client_timeout)
            conn.parser = Parser(self.cfg, sock, conn.client)
        sock = conn.parser.unreader.sock
        sock.begin_request()
        # The late rest of a request would otherwise be parsed as the next request.
        return super().handle(conn) and not sock.timed_out

    def handle_request(self, req: Any, conn: Any) -> Any:
        try:
            return super().handle_request(req, conn)
        except (TimeoutError, BlockingIOError) as error:
            # gunicorn would log a client that does not read as an error of the app.
            raise BrokenPipeError(errno.EPIPE, "the client does not read") from error

    def _cap_keepalive(self, deadline: float) -> None:
        """At the end, wait for new connections no longer than for idle ones."""
        super()._cap_keepalive(deadline)  # type: ignore[misc]
        for conn in self.pending_conns:
            conn.timeout = min(float(conn.timeout or 0), deadline)
