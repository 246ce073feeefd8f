"""The booking: what a request's turns use, kept as it becomes known.

It is kept before the client is told what was bought with it, so that whatever ends the gateway,
nothing that was answered is lost.
"""

from __future__ import annotations

from collections.abc import Mapping

from wrapper.services.principal import Principal
from wrapper.services.rates import Rates
from wrapper.services.turn import Event, Spent, Used
from wrapper.services.usage.amounts import Amounts, most
from wrapper.services.usage.ledger import Ledger

Books = dict[str, Amounts]
NANOS = 1_000_000_000


class Booking:
    """Books for one request; its turns are told apart by their index."""

    def __init__(self, principal: Principal, ledger: Ledger, rates: Rates):
        self._principal = principal
        self._ledger = ledger
        self._rates = rates
        # A turn over midnight stays on the day it began on, so that each day's sums are whole.
        self._day = ledger.today()
        self._booked: dict[int, Books] = {}

    def add(self, index: int, event: Event) -> None:
        """Book what *event* tells beyond what is booked. Raises Unavailable; it is kept then, too.

        What is told later may be less, or of another model: the books follow.
        """
        if not isinstance(event, Used):
            return
        before, now = self._booked.get(index, {}), _books(event.spent)
        if self._counts(index) and now:
            first = next(iter(now))
            now[first] += Amounts(requests=1)
        self._booked[index] = now
        for model in {**before, **now}:
            self._book(model, now.get(model, Amounts()) - before.get(model, Amounts()))

    def _counts(self, index: int) -> bool:
        """Say whether this turn stands for the request, which is counted once."""
        return index == next(iter(self._booked), index)

    def _book(self, model: str, more: Amounts) -> None:
        if more != Amounts():
            tokens = more.input + more.cache_read + more.cache_creation + more.output
            self._rates.spend(self._principal, tokens)
            self._ledger.add(self._day, self._principal.name, model, more)


def _books(spent: Mapping[str, Spent]) -> Books:
    return {model: _amounts(one) for model, one in spent.items()}


def _amounts(spent: Spent) -> Amounts:
    usage, cost = spent.usage, spent.cost_usd
    amounts = Amounts(
        input=usage.input,
        cache_read=usage.cache_read,
        cache_creation=usage.cache_creation,
        output=usage.output,
        reasoning=usage.reasoning,
    )
    if cost is None:
        return amounts + Amounts(unpriced_nanos=most(amounts))
    return amounts + Amounts(nanos=round(cost * NANOS))
