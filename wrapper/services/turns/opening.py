"""An admitted request, with all that its run needs."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from wrapper.services.background.watchdog import Watchdog
from wrapper.services.limits.admission import Permit
from wrapper.services.principal import Caller
from wrapper.services.request import TurnRequest
from wrapper.services.sessions.session_turn import SessionTurn, StatelessTurn
from wrapper.services.telemetry.timing import Timing
from wrapper.services.telemetry.traces import TurnTrace
from wrapper.services.turns.answers import Remember
from wrapper.services.turns.draft import Draft


@dataclass(frozen=True)
class Opening:
    """What a request brings and holds while its run is made.

    `request` is as the client sent it, with the options of its session. `held` releases what the
    request holds, also the places of its `permit`.
    """

    request: TurnRequest
    caller: Caller
    draft: Draft
    session_turn: SessionTurn | StatelessTurn
    remember: Remember | None
    watchdog: Watchdog
    timing: Timing
    trace: TurnTrace
    permit: Permit
    held: ExitStack
