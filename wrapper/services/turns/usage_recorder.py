"""The booking: what a request's turns use, kept as it becomes known.

It is kept before the client is told what was bought with it, so that whatever ends the gateway,
nothing that was answered is lost.
"""

from __future__ import annotations

from collections.abc import Mapping

from wrapper.errors import QuotaExceeded, Unavailable
from wrapper.notes import Notes
from wrapper.services.events import Event, Spent, Used
from wrapper.services.limits.rate_limits import RateLimits
from wrapper.services.principal import Principal
from wrapper.services.telemetry.metrics import Metrics
from wrapper.services.usage.ledger import Ledger
from wrapper.services.usage.prices import most
from wrapper.services.usage.store import NANOS, Amounts, Row, total

Books = dict[str, Amounts]


class UsageRecorder:
    """Books for one request; its turns are told apart by their index. It must be closed.

    Then *metrics* is told, once, since what is booked may become less until then.

    Everything raises Unavailable where the books cannot be kept and must be; nothing is lost then.
    """

    def __init__(self, principal: Principal, ledger: Ledger, rates: RateLimits, metrics: Metrics):
        self._principal = principal
        self._ledger = ledger
        self._rates = rates
        self._metrics = metrics
        # A turn over midnight stays on the day it began on, so that each day's sums are whole.
        self._day = ledger.today().isoformat()
        self._booked: dict[int, Books] = {}
        self._asked: dict[int, int] = {}

    def add(self, index: int, event: Event) -> None:
        """Book what *event* tells beyond what is booked.

        What is told later may be less, or of another model: the books follow. Until a price is told
        it is the most that it can be, so that nothing is hidden from a budget meanwhile, and turns
        that run at once heed each other. Raises QuotaExceeded where a turn has asked the model
        again although the budget was spent.
        """
        if not isinstance(event, Used):
            return
        went_on = 0 < self._asked.get(index, 0) < event.requests
        refusal = self._refusal() if went_on else None
        self._asked[index] = event.requests
        before, now = self._booked.get(index, {}), _books(event.spent)
        if now and index == next(iter(self._booked), index):  # one turn stands for the request
            now[next(iter(now))] += Amounts(requests=1)
        self._booked[index] = now
        nothing = Amounts()
        more = {m: now.get(m, nothing) - before.get(m, nothing) for m in {**before, **now}}
        self._book({model: amounts for model, amounts in more.items() if amounts != nothing})
        if refusal:
            raise refusal

    def may_go_on(self) -> bool:
        """Say whether the key's budget allows that the model is asked again."""
        return self._refusal() is None

    def rate_notes(self) -> Notes:
        """Return the state of the key's rates."""
        return self._rates.notes(self._principal)

    def close(self) -> None:
        """Tell the meter; no more will be booked."""
        self._metrics.asked(sum(self._asked.values()))
        for books in self._booked.values():
            for model, amounts in books.items():
                self._metrics.spent(model, amounts)
        self._asked, self._booked = {}, {}

    def _refusal(self) -> QuotaExceeded | None:
        if not self._principal.has_budget:
            return None
        try:
            self._ledger.check(self._principal)
        except QuotaExceeded as error:
            return error
        except Unavailable:  # which `_book` raises, too, where it is to end the turn
            return None
        return None

    def _book(self, more: Books) -> None:
        if more:
            name = self._principal.name
            self._ledger.add(*(Row(self._day, name, model, one) for model, one in more.items()))
            self._rates.spend(self._principal, total(more.values()).tokens)


def _books(spent: Mapping[str, Spent]) -> Books:
    return {model: _amounts(model, one) for model, one in spent.items()}


def _amounts(model: str, spent: Spent) -> Amounts:
    usage = spent.usage
    amounts = Amounts(
        input=usage.input,
        cache_read=usage.cache_read,
        cache_creation=usage.cache_creation,
        output=usage.output,
        reasoning=usage.reasoning,
        nanos=round((spent.cost_usd or 0) * NANOS),
    )
    if spent.cost_usd is not None:
        return amounts
    return amounts + Amounts(unpriced_nanos=most(model, amounts))
