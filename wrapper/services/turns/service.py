"""The chat service: a chat request admitted, made into turns, run, and remembered if asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from wrapper.errors import ClientGone, InvalidRequest, ShuttingDown
from wrapper.services import resources
from wrapper.services.attachments.images import check_images
from wrapper.services.background.watchdog import CHECK_SECONDS, Watchdog
from wrapper.services.catalog import Catalog
from wrapper.services.engine import Engine, Runner
from wrapper.services.limits.admission import Admission
from wrapper.services.limits.policy import Policy
from wrapper.services.limits.rate_limits import RateLimits
from wrapper.services.messages.answer import Answer
from wrapper.services.messages.exact_history import tell_adapted
from wrapper.services.messages.message import ChatMessage
from wrapper.services.principal import Caller
from wrapper.services.request import ChatRequest
from wrapper.services.sessions.options import options_of
from wrapper.services.sessions.service import SessionRequest, SessionService
from wrapper.services.sessions.session_turn import Replay, SessionTurn, StatelessTurn
from wrapper.services.telemetry.metrics import Metrics
from wrapper.services.telemetry.signals import Signals
from wrapper.services.telemetry.timing import Timing, timed
from wrapper.services.turn import Turn
from wrapper.services.turn_loop import TurnLoop
from wrapper.services.turns.correction import Correction
from wrapper.services.turns.draft import Draft, draft
from wrapper.services.turns.request_log import RequestLog
from wrapper.services.turns.requirements import makes_demands
from wrapper.services.turns.run import Events, Run
from wrapper.services.turns.usage_recorder import UsageRecorder
from wrapper.services.usage.ledger import Ledger
from wrapper.settings import Settings


class TurnService:
    """Answers chat requests. *draining* says whether the gateway is shutting down.

    *sender* is in whose name signals are sent.
    """

    def __init__(
        self,
        engine: Engine,
        catalog: Catalog,
        settings: Settings,
        *,
        admission: Admission,
        metrics: Metrics,
        policy: Policy,
        ledger: Ledger,
        rates: RateLimits,
        sessions: SessionService | None = None,
        sender: object = None,
        draining: Callable[[], bool] = lambda: False,
    ):
        self._engine = engine
        self._catalog = catalog
        self._settings = settings
        self._policy = policy
        self._admission = admission
        self._metrics = metrics
        self._ledger = ledger
        self._rates = rates
        self._sessions = sessions
        self._sender = sender
        self._draining = draining

    def admit(self, caller: Caller) -> Caller:
        """Count a request against its key's rate and check the key's budget.

        This needs no part of the request's body, so it comes before the body is read. Raises
        RateLimited, QuotaExceeded or Unavailable. A request that may be the repetition of one that
        was answered costs nothing then, so its budget is checked later.
        """
        if caller.admitted:
            return caller
        self._check(caller)
        resources.check()
        self._rates.admit(caller.principal)
        if not caller.may_repeat:
            self._ledger.check(caller.principal)
        return replace(caller, admitted=True)

    def open(self, request: ChatRequest, caller: Caller) -> Run:
        """Check the request, cheapest check first, and return the run of its turns.

        The run must be closed. Raises ApiError.
        """
        timing = Timing()
        with timed(timing):
            return self._open(request, caller, timing)

    def _open(self, request: ChatRequest, caller: Caller, timing: Timing) -> Run:
        caller = self.admit(caller)
        early = self._draft(request, caller) if request.model or not request.session_id else None
        with ExitStack() as held:
            with timing.queueing():
                check = partial(self._check, caller)
                held.callback(self._admission.admit(request.n, caller.principal, check))
            watchdog = self._watchdog(caller)
            session_turn = self._session_turn(request, caller, watchdog, held)
            request = session_turn.options.fill(request)
            drafted = self._draft(request, caller) if session_turn.key or not early else early
            turn = (
                drafted.empty()
                if session_turn.repeats
                else drafted.build(session_turn.before, session_turn.key)
            )
            if not session_turn.repeats:
                # Other turns of the key may have spent the budget meanwhile.
                self._ledger.check(caller.principal)
            inspected = self._inspect(request, turn, session_turn.before, caller)
            notes = {**drafted.notes, **inspected, **session_turn.notes}
            record = RequestLog(
                caller.request_id,
                turn,
                prompts=self._settings.log_prompts,
                timing=timing,
                metrics=self._metrics,
                signals=self._signals(turn, caller, session_turn),
            )
            recorder = UsageRecorder(caller.principal, self._ledger, self._rates, self._metrics)
            return Run(
                self._play(turn, request, session_turn, recorder),
                watchdog,
                record,
                recorder,
                answers=[Answer() for _ in range(request.n)],
                remember=partial(
                    session_turn.remember,
                    legacy=request.legacy_functions,
                    options=options_of(request, turn.profile),
                ),
                notes=notes,
                release=held.pop_all().close,
            )

    def _draft(self, request: ChatRequest, caller: Caller) -> Draft:
        drafted = draft(
            request,
            caller.principal,
            catalog=self._catalog,
            policy=self._policy,
            strict=self._settings.strict_params,
        )
        if request.session_id is None and caller.may_repeat:  # only sessions repeat answers
            self._ledger.check(caller.principal)
        return drafted

    def _check(self, caller: Caller) -> None:
        """Raise ShuttingDown or ClientGone where no turn should begin."""
        if self._draining():
            raise ShuttingDown("The gateway is shutting down; ask again.", retry_after=1)
        if caller.gone():
            raise ClientGone("The client closed the connection.")

    def _play(
        self,
        turn: Turn,
        request: ChatRequest,
        session_turn: SessionTurn | StatelessTurn,
        recorder: UsageRecorder,
    ) -> Events:
        """Return the events of the request's turns, or those that *session_turn* replays."""
        if session_turn.repeats:
            return Replay(session_turn.replay())
        runner: Runner = self._engine
        if makes_demands(turn):
            retries = self._settings.retry_bad_answers
            runner = Correction(runner, request.choice_param, request.stream, retries)
        turn = replace(turn, may_go_on=recorder.may_go_on)
        return TurnLoop(runner, [turn] * request.n, CHECK_SECONDS, note=recorder.add)

    def _signals(
        self, turn: Turn, caller: Caller, session_turn: SessionTurn | StatelessTurn
    ) -> Signals | None:
        """Return what tells of the turn; one that was had before was told of then."""
        return None if session_turn.repeats else Signals(self._sender, turn, caller.request_id)

    def _session_turn(
        self, request: ChatRequest, caller: Caller, watchdog: Watchdog, held: ExitStack
    ) -> SessionTurn | StatelessTurn:
        """Return the request's turn of its session, which *held* is to close."""
        if request.session_id is None:
            return StatelessTurn()
        if self._sessions is None:
            why = "this gateway keeps no sessions (SESSION_STORE=none)"
            raise InvalidRequest(f"session_id: {why}; leave it out.", param="session_id")
        asked = SessionRequest(request.session_id, request.messages, caller.attempt, caller.again)
        session_turn = self._sessions.begin_turn(asked, caller.principal, watchdog)
        held.callback(session_turn.close)
        return session_turn

    def _inspect(
        self, request: ChatRequest, turn: Turn, before: Sequence[ChatMessage], caller: Caller
    ) -> dict[str, str]:
        """Return the headers that name the pictures and the calls that change."""
        model = self._catalog.resolve(turn.model)
        shrinks = partial(self._engine.shrinks, model=model, profile=turn.profile)
        strict = self._settings.strict_params
        changed = check_images(request.listed, shrinks, strict=strict, gone=caller.gone)
        return changed | tell_adapted(request.listed, before, changed=turn.adapted, strict=strict)

    def _watchdog(self, caller: Caller) -> Watchdog:
        return Watchdog(
            gone=caller.gone,
            draining=self._draining,
            limit=self._settings.max_timeout / 1000,
            grace=self._settings.graceful_timeout,
            clock=time.monotonic,
        )
