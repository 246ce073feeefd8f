"""The chat service: a chat request admitted, made into turns, and run."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from wrapper.services.admission import Admission
from wrapper.services.completion import Head, build_chunks, build_completion
from wrapper.services.conversation import ChatRequest, build_turn
from wrapper.services.engine import Engine, TurnLoop
from wrapper.services.liveness import CHECK_SECONDS, Watch
from wrapper.services.turn import Event
from wrapper.settings import Settings

HEARTBEAT_SECONDS = 10.0


class Run:
    """The turns of one request, under way. It must be closed, once or more often."""

    def __init__(self, loop: TurnLoop, watch: Watch, release: Callable[[], None]):
        self._loop = loop
        self._watch = watch
        self._release = release
        self._items = self._watched()
        self._primed: list[tuple[int, Event] | None] = []

    def __iter__(self) -> Iterator[tuple[int, Event] | None]:
        """Yield (choice, event), or None when a while has passed without any."""
        return itertools.chain(self._primed, self._items)

    def prime(self, seconds: float, clock: Callable[[], float]) -> None:
        """Wait for the first event, at most *seconds*: until then an error is still a status."""
        until = clock() + seconds
        for item in self._items:
            if item is not None or clock() >= until:
                self._primed.append(item)
                return

    def close(self) -> None:
        self._loop.close()
        self._release()

    def _watched(self) -> Iterator[tuple[int, Event] | None]:
        for item in self._loop:
            self._watch.check()
            yield item


class ChatService:
    """Answers chat requests. *draining* says whether the gateway is shutting down."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        *,
        draining: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
        new_id: Callable[[], str] = lambda: f"chatcmpl-{uuid.uuid4().hex}",
    ):
        self._engine = engine
        self._settings = settings
        self._admission = Admission(settings.max_concurrent_turns)
        self._draining = draining
        self._clock = clock
        self._new_id = new_id

    def complete(self, request: ChatRequest, gone: Callable[[], bool]) -> dict[str, Any]:
        """Return the whole completion; *gone* says whether its reader has left."""
        run = self._open(request, gone)
        try:
            return build_completion(self._head(request), run)
        finally:
            run.close()

    def stream(
        self, request: ChatRequest, gone: Callable[[], bool]
    ) -> tuple[Iterator[dict[str, Any] | None], Callable[[], None]]:
        """Return the chunks, None among them where nothing came, and what closes the run.

        The model has begun to answer, or has been silent for HEARTBEAT_SECONDS.
        """
        run = self._open(request, gone)
        try:
            run.prime(HEARTBEAT_SECONDS, self._clock)
        except BaseException:
            run.close()
            raise
        return build_chunks(self._head(request), run), run.close

    def _open(self, request: ChatRequest, gone: Callable[[], bool]) -> Run:
        turn = build_turn(
            request,
            default_model=self._settings.default_model,
            default_profile=self._settings.default_profile,
        )
        release = self._admission.admit(request.n)
        watch = Watch(
            gone=gone,
            draining=self._draining,
            limit=self._settings.max_timeout / 1000,
            grace=self._settings.graceful_timeout,
            clock=self._clock,
        )
        return Run(TurnLoop(self._engine, [turn] * request.n, CHECK_SECONDS), watch, release)

    def _head(self, request: ChatRequest) -> Head:
        return Head(
            id=self._new_id(),
            created=int(time.time()),
            choices=request.n,
            include_usage=request.include_usage,
            service_tier=request.service_tier,
        )
