"""The turn service: it admits a request, and runs and remembers its turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import chain

from wrapper.errors import ClientGone, InvalidRequest, ShuttingDown
from wrapper.notes import Notes
from wrapper.services import resources
from wrapper.services.approvals.service import ApprovalService
from wrapper.services.attachments.images import ImageInfo, check_images
from wrapper.services.background.watchdog import Watchdog
from wrapper.services.catalog import Catalog
from wrapper.services.engine import Engine
from wrapper.services.limits.admission import Permit
from wrapper.services.limits.limits import Limits
from wrapper.services.limits.users import user_of
from wrapper.services.messages.exact_history import adapted_paths
from wrapper.services.principal import Caller
from wrapper.services.request import TurnRequest
from wrapper.services.sessions.options import options_of
from wrapper.services.sessions.service import SessionRequest, SessionService
from wrapper.services.sessions.session_turn import Replay, SessionTurn, StatelessTurn
from wrapper.services.telemetry.observers import Observers
from wrapper.services.telemetry.signals import Signals
from wrapper.services.telemetry.timing import Timing
from wrapper.services.telemetry.traces import TurnTrace
from wrapper.services.tools.config import NO_CONFIG, ToolConfig
from wrapper.services.turn import Turn
from wrapper.services.turns.answers import Answers, Remember
from wrapper.services.turns.draft import Draft, make_draft
from wrapper.services.turns.lent_place import LentPlace
from wrapper.services.turns.opening import Opening
from wrapper.services.turns.player import Player
from wrapper.services.turns.request_log import RequestLog, conversation_of, outcome_of_error
from wrapper.services.turns.run import Run
from wrapper.services.turns.usage_recorder import UsageRecorder
from wrapper.settings import Settings


class TurnService:
    """Runs the turns of chat requests. *draining* says whether the gateway is shutting down.

    Without *sessions* it refuses requests that name one.
    """

    def __init__(
        self,
        engine: Engine,
        catalog: Catalog,
        settings: Settings,
        limits: Limits,
        observers: Observers,
        *,
        approvals: ApprovalService,
        sessions: SessionService | None = None,
        draining: Callable[[], bool] = lambda: False,
    ):
        self._engine = engine
        self._catalog = catalog
        self._settings = settings
        self._limits = limits
        self._sessions = sessions
        self._observers = observers
        self._draining = draining
        self._player = Player(engine, approvals, draining, retries=settings.retry_bad_answers)

    def admit(self, caller: Caller) -> Caller:
        """Count a request against its key's rate and check the key's budget.

        This needs no part of the request's body, so call it before the body is read. A request
        that may repeat an answered one costs nothing if it does, so its budget is checked later.
        Raises RateLimited, QuotaExceeded or Unavailable.
        """
        if caller.admitted:
            return caller
        self._check(caller)
        resources.check()
        self._limits.admit(caller.principal, may_repeat=caller.may_repeat)
        return replace(caller, admitted=True)

    def _admit_user(self, request: TurnRequest, caller: Caller) -> Caller:
        """Count the request for the user whom it names, if the caller's key limits its users."""
        if not caller.principal.limits_users:
            return caller
        user = user_of(request, caller.principal)
        self._limits.admit(user, may_repeat=caller.may_repeat)
        return replace(caller, user=user)

    def check(self, request: TurnRequest, caller: Caller) -> Draft:
        """Check a request that is to run later, and return its draft. Raises ApiError."""
        return self._draft(request, self.admit(caller))

    def open(self, request: TurnRequest, caller: Caller, remember: Remember | None = None) -> Run:
        """Check the request, cheapest check first, and return the run of its turns.

        *remember* keeps an answer, if no session does. The run must be closed. Raises ApiError.
        """
        timing = Timing()
        trace = self._observers.traces.turns(caller.span)
        try:
            with timing:
                return self._open(request, caller, remember, timing, trace)
        except Exception as error:
            trace.close(outcome_of_error(error), error)
            raise

    def _open(
        self,
        request: TurnRequest,
        caller: Caller,
        remember: Remember | None,
        timing: Timing,
        trace: TurnTrace,
    ) -> Run:
        caller = self._admit_user(request, self.admit(caller))
        early = self._draft(request, caller) if request.model or not request.session_id else None
        with ExitStack() as held:
            with timing.queueing(), trace.queueing():
                permit = self._take_places(request, caller)
                held.callback(permit)
            watchdog = self._watchdog(caller, permit)
            session_turn = self._session_turn(request, caller, LentPlace(permit, watchdog), held)
            draft = early
            if draft is None or session_turn.key:
                config = session_turn.config
                most = self._limits.policy.most(caller.principal, config)
                request = session_turn.options.within(most).fill(request)
                draft = self._draft(request, caller, config)
            opening = Opening(
                request,
                caller,
                draft,
                session_turn,
                remember,
                watchdog,
                timing,
                trace,
                permit,
                held,
            )
            return self._replay(opening) if session_turn.repeats else self._start(opening)

    def _take_places(self, request: TurnRequest, caller: Caller) -> Permit:
        """Wait until the request may run its turns. Raises ApiError."""
        check = partial(self._check, caller)
        return self._limits.admission.admit(request.answers, caller, check)

    def _replay(self, opening: Opening) -> Run:
        """Return the run that repeats the answer that the session has given before."""
        session_turn, draft = opening.session_turn, opening.draft
        notes = draft.notes | self._inspect(opening, ()) | Notes(replayed=True)
        return Run(
            Replay(session_turn.replay()),
            opening.watchdog,
            self._log(opening),
            self._recorder(opening.caller),
            Answers(opening.request.n),
            notes=notes,
            release=opening.held.pop_all().close,
        )

    def _start(self, opening: Opening) -> Run:
        """Return the run of new turns."""
        request, caller, session_turn = opening.request, opening.caller, opening.session_turn
        draft, key = opening.draft, session_turn.key
        turn = draft.build(session_turn.before, key) if key else draft.turn
        turns = [turn, *draft.other_turns]
        # Other turns may have spent the budget meanwhile.
        self._limits.check_budgets(caller)
        notes = draft.notes | self._inspect(
            opening, (path for each in turns for path in each.adapted)
        )
        signals = self._observers.signals(turn, caller.request_id)
        log = self._log(opening, turns, signals)
        recorder = self._recorder(caller)
        run = Run(
            self._player.play(turns, opening, recorder),
            opening.watchdog,
            log,
            recorder,
            Answers(request.answers, _remember(opening, turn)),
            notes=notes,
            release=opening.held.pop_all().close,
        )
        opening.permit.describe(run.activity.text)
        return run

    def _draft(self, request: TurnRequest, caller: Caller, config: ToolConfig = NO_CONFIG) -> Draft:
        draft = make_draft(
            request,
            caller.principal,
            catalog=self._catalog,
            policy=self._limits.policy,
            config=config,
            strict=self._settings.strict_params,
        )
        if request.session_id is None and caller.may_repeat:  # only sessions repeat answers
            self._limits.check_budgets(caller)
        return draft

    def _check(self, caller: Caller) -> None:
        """Raise ShuttingDown or ClientGone if no turn should begin."""
        if self._draining():
            raise ShuttingDown("The gateway is shutting down; ask again.", retry_after=1)
        if caller.gone():
            raise ClientGone("The client closed the connection.")

    def _log(
        self, opening: Opening, turns: Sequence[Turn] = (), signals: Signals | None = None
    ) -> RequestLog:
        """Return the request's log, which gets the texts of *turns* only if settings allow that."""
        logged = turns if self._settings.log_prompts else ()
        return RequestLog(
            opening.caller,
            opening.draft,
            timing=opening.timing,
            metrics=self._observers.metrics,
            history=self._observers.history,
            signals=signals,
            conversation=chain.from_iterable(map(conversation_of, logged)) if logged else None,
            trace=opening.trace,
        )

    def _recorder(self, caller: Caller) -> UsageRecorder:
        limits = self._limits
        return UsageRecorder(caller, limits.ledger, limits.rates, self._observers)

    def _session_turn(
        self, request: TurnRequest, caller: Caller, place: LentPlace, held: ExitStack
    ) -> SessionTurn | StatelessTurn:
        """Return the request's turn of its session, which *held* is to close."""
        if request.session_id is None:
            return StatelessTurn()
        if self._sessions is None:
            why = "this gateway keeps no sessions (SESSION_STORE=none)"
            raise InvalidRequest(f"session_id: {why}; leave it out.", param="session_id")
        asked = SessionRequest(request.session_id, request.messages, caller.attempt, caller.again)
        session_turn = self._sessions.begin_turn(asked, caller.principal, place)
        held.callback(session_turn.close)
        place.take_back()
        return session_turn

    def _inspect(self, opening: Opening, adapted: Iterable[str]) -> Notes:
        """Return notes on what the model gets in another form: images, and *adapted* messages."""
        draft, listed = opening.draft, opening.request.listed

        def shrinks(image: ImageInfo) -> bool:
            model = self._catalog.resolve(draft.model)
            return self._engine.shrinks(image, model, draft.grant.profile)

        strict = self._settings.strict_params
        notes = check_images(listed, shrinks, strict=strict, gone=opening.caller.gone)
        request = opening.request
        before = (*opening.session_turn.before, *request.messages[: request.unlisted])
        paths = adapted_paths(listed, before, changed=adapted, strict=strict)
        return replace(notes, adapted_messages=paths) if paths else notes

    def _watchdog(self, caller: Caller, permit: Permit) -> Watchdog:
        def gone() -> bool:
            permit.check()
            return caller.gone()

        limit, setting = self._settings.max_timeout, "MAX_TIMEOUT"
        if caller.lasting:
            limit, setting = self._settings.background_timeout, "BACKGROUND_TIMEOUT"
        return Watchdog(
            gone=gone,
            draining=self._draining,
            limit=limit / 1000,
            setting=setting,
            grace=self._settings.graceful_timeout,
            clock=time.monotonic,
        )


def _remember(opening: Opening, turn: Turn) -> Remember | None:
    """Return what keeps the answer to *turn*: the client's own store, or the session."""
    request, session_turn = opening.request, opening.session_turn
    if opening.remember or isinstance(session_turn, StatelessTurn):
        return opening.remember
    return partial(
        session_turn.remember,
        legacy=request.legacy_functions,
        options=options_of(request, turn.profile),
    )
