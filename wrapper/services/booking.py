"""The booking: what a request's turns use, kept as it becomes known.

It is kept before the client is told what was bought with it, so that whatever ends the gateway,
nothing that was answered is lost.
"""

from __future__ import annotations

from collections.abc import Mapping

from wrapper.services.events import Event, Spent, Used
from wrapper.services.meter import Meter
from wrapper.services.principal import Principal
from wrapper.services.rates import Rates
from wrapper.services.usage.amounts import NANOS, Amounts, Row, most, total
from wrapper.services.usage.ledger import Ledger

Books = dict[str, Amounts]


class Booking:
    """Books for one request; its turns are told apart by their index. It must be closed.

    Then *meter* is told, once, since what is booked may become less until then.

    Everything raises Unavailable where the books cannot be kept and must be; nothing is lost then.
    """

    def __init__(self, principal: Principal, ledger: Ledger, rates: Rates, meter: Meter):
        self._principal = principal
        self._ledger = ledger
        self._rates = rates
        self._meter = meter
        # A turn over midnight stays on the day it began on, so that each day's sums are whole.
        self._day = ledger.today().isoformat()
        self._spent: dict[int, Mapping[str, Spent]] = {}
        self._booked: dict[int, Books] = {}
        self._asked: dict[int, int] = {}

    def add(self, index: int, event: Event) -> None:
        """Book what *event* tells beyond what is booked.

        What is told later may be less, or of another model: the books follow.
        """
        if not isinstance(event, Used):
            return
        self._asked[index] = event.requests
        before, now = self._booked.get(index, {}), _books(event.spent)
        if now and index == next(iter(self._booked), index):  # one turn stands for the request
            now[next(iter(now))] += Amounts(requests=1)
        self._spent[index], self._booked[index] = event.spent, now
        nothing = Amounts()
        more = {m: now.get(m, nothing) - before.get(m, nothing) for m in {**before, **now}}
        self._book({model: amounts for model, amounts in more.items() if amounts != nothing})

    def close(self) -> None:
        """Book the most that it can have cost where no price was told, now that none will be.

        Nothing can be hidden from a budget so; and a turn that runs is not held to be as dear.
        """
        self._meter.asked(sum(self._asked.values()))
        for books in self._booked.values():
            for model, amounts in books.items():
                self._meter.spent(model, amounts)
        self._asked, self._booked = {}, {}
        while self._spent:
            _, spent = self._spent.popitem()
            unpriced = {m: _amounts(one) for m, one in spent.items() if one.cost_usd is None}
            self._book({m: Amounts(unpriced_nanos=most(one)) for m, one in unpriced.items()})

    def _book(self, more: Books) -> None:
        if more:
            name = self._principal.name
            self._ledger.add(*(Row(self._day, name, model, one) for model, one in more.items()))
            used = total(more.values())
            tokens = used.input + used.cache_read + used.cache_creation + used.output
            self._rates.spend(self._principal, tokens)


def _books(spent: Mapping[str, Spent]) -> Books:
    return {model: _amounts(one) for model, one in spent.items()}


def _amounts(spent: Spent) -> Amounts:
    usage = spent.usage
    return Amounts(
        input=usage.input,
        cache_read=usage.cache_read,
        cache_creation=usage.cache_creation,
        output=usage.output,
        reasoning=usage.reasoning,
        nanos=round((spent.cost_usd or 0) * NANOS),
    )
