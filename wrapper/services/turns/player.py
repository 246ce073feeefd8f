"""Play the turns of a request: with their approvals, corrections, budget and traces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from wrapper.services.approvals.approval import Asker
from wrapper.services.approvals.service import ApprovalService
from wrapper.services.background.watchdog import CHECK_SECONDS
from wrapper.services.engine import Runner
from wrapper.services.events import Event
from wrapper.services.telemetry.traces import NULL_TRACE, TurnTrace
from wrapper.services.turn import Turn
from wrapper.services.turns.approver import TurnApprover
from wrapper.services.turns.correction import Correction
from wrapper.services.turns.fallback import Fallback
from wrapper.services.turns.opening import Opening
from wrapper.services.turns.requirements import makes_demands
from wrapper.services.turns.run import Events
from wrapper.services.turns.turn_loop import TurnLoop
from wrapper.services.turns.unknown_models import UnknownModels
from wrapper.services.turns.usage_recorder import UsageRecorder


class Player:
    """Plays turns on *engine*, which asks *approvals* where a tool needs one.

    *retries* says whether an answer that does not meet the request's demands is asked for again.
    """

    def __init__(
        self,
        engine: Runner,
        approvals: ApprovalService,
        draining: Callable[[], bool],
        *,
        retries: bool,
    ):
        self._engine = engine
        self._approvals = approvals
        self._retries = retries
        self._draining = draining
        self._unknown_models = UnknownModels()

    def play(self, turns: Sequence[Turn], opening: Opening, recorder: UsageRecorder) -> Events:
        """Return the events of the request's turns: `n` for each of *turns*."""
        request, runner = opening.request, self._engine
        if turns[0].fallbacks:
            runner = Fallback(runner, self._unknown_models)
        if makes_demands(turns[0]):
            runner = Correction(runner, request.choice_param, request.stream, self._retries)
        if opening.caller.background:
            turns = [replace(turn, background=True) for turn in turns]
        each = [_traced(turn, opening.trace) for turn in turns for _ in range(request.n)]
        if recorder.has_budget:
            each = [
                replace(turn, may_go_on=partial(recorder.may_go_on, index))
                for index, turn in enumerate(each)
            ]
        opening.trace.begin(each, stream=request.stream)
        note = _notes(recorder, opening.trace)
        if turns[0].permissions.approvable == "nothing":
            return TurnLoop(runner, each, CHECK_SECONDS, note=note)
        approvers = [self._approver(opening) for _ in each]
        pairs = zip(each, approvers, strict=True)
        each = [replace(turn, approver=approver) for turn, approver in pairs]
        loop = TurnLoop(runner, each, CHECK_SECONDS, note=note)
        for index, approver in enumerate(approvers):
            approver.emit = partial(loop.put, index)
        return loop

    def _approver(self, opening: Opening) -> TurnApprover:
        caller, key = opening.caller, opening.session_turn.key
        return TurnApprover(
            self._approvals,
            Asker(caller.principal.name, caller.request_id, key.id if key else None),
            opening.permit,
            opening.watchdog,
            self._draining,
            opening.session_turn.approved,
        )


def _traced(turn: Turn, trace: TurnTrace) -> Turn:
    """Return *turn*, whose callers' MCP servers continue the *trace*."""
    if not (turn.mcp_servers and trace.headers):
        return turn
    servers = tuple(server.with_headers(trace.headers) for server in turn.mcp_servers)
    return replace(turn, mcp_servers=servers)


def _notes(recorder: UsageRecorder, trace: TurnTrace) -> Callable[[int, Event], None]:
    """Return what notes each event of the turns, for the usage and for the *trace*."""
    if trace is NULL_TRACE:
        return recorder.add

    def note(index: int, event: Event) -> None:
        trace.add(index, event)
        recorder.add(index, event)

    return note
