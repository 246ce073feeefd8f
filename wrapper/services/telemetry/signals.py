"""The signals that tell an embedding app about turns, in the request's thread."""

from __future__ import annotations

import logging
from typing import Any

from blinker import NamedSignal, Namespace

from wrapper.services.events import Used
from wrapper.services.spent import add_spent, sum_costs, sum_usage
from wrapper.services.turn import Turn

_signals = Namespace()
# Sent with `turn` (a Turn with its model, profile, principal and session) and `request_id`.
turn_started = _signals.signal("turn-started")
# Sent with the same, `usage` (a Usage), `cost_usd` (None where Claude Code does not know it) and
# `outcome`: done, client_gone, or the code of the error that the client got.
turn_finished = _signals.signal("turn-finished")

log = logging.getLogger(__name__)


class Signals:
    """Sends both signals for one request. *sender* is the Gateway.

    A request for several answers sends each signal once, with the usage of all its turns.
    """

    def __init__(self, sender: object, turn: Turn, request_id: str):
        self._sender = sender
        self._facts = {"turn": turn, "request_id": request_id}
        self._used: dict[int, Used] = {}
        self._begun = False

    def begin(self) -> None:
        self._begun = True
        self._send(turn_started, **self._facts)

    def use(self, index: int, used: Used) -> None:
        """Keep what a turn has used up to now."""
        self._used[index] = used

    def finish(self, outcome: str) -> None:
        """Send turn_finished if turn_started was sent."""
        if self._begun and turn_finished.receivers:
            spent = add_spent(*(used.spent for used in self._used.values())).values()
            cost = sum_costs(part.cost_usd for part in spent)
            usage = sum_usage(part.usage for part in spent)
            self._send(turn_finished, **self._facts, usage=usage, cost_usd=cost, outcome=outcome)

    def _send(self, signal: NamedSignal, **facts: Any) -> None:
        """Send *signal*. The turn goes on even if a receiver fails."""
        for receiver in signal.receivers_for(self._sender):
            try:
                receiver(self._sender, **facts)
            except Exception:
                log.exception("a receiver of %s failed", signal.name)
