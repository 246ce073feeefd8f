"""Record in the ledger what a request's turns use, as soon as it is known, and count their tools.

Usage is recorded before the client gets the events that it paid for, so that no answered request is
lost, however the gateway ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from itertools import product

from wrapper.errors import QuotaExceeded, Unavailable
from wrapper.notes import NO_NOTES, Notes
from wrapper.services.events import Ended, Event, LimitsReported, ToolUsed, Used
from wrapper.services.limits.rate_limits import RateLimits
from wrapper.services.principal import Caller, LimitHolder
from wrapper.services.requests.request import RequestUsage
from wrapper.services.spent import Spent
from wrapper.services.telemetry.observers import Observers
from wrapper.services.usage.ledger import Ledger
from wrapper.services.usage.prices import most
from wrapper.services.usage.store import NANOS, Amounts, Row, total
from wrapper.services.usage.tool_counts import OTHER, ToolCounts

AmountsByModel = dict[str, Amounts]


class UsageRecorder:
    """Records the usage of one request, whose turns differ by their index. It must be closed.

    The metrics of *observers* count the usage only then, since recorded amounts may become smaller
    until then. The tools that a turn used are counted when it ends.

    All methods raise Unavailable if the ledger cannot be written and USAGE_REQUIRED is set. The
    ledger keeps what it could not write.
    """

    def __init__(
        self,
        caller: Caller,
        ledger: Ledger,
        rates: RateLimits,
        observers: Observers,
    ):
        self._principal = caller.principal
        self._holders = caller.holders
        self._ledger = ledger
        self._rates = rates
        self._observers = observers
        # A turn over midnight counts for the day on which it began, so that no turn is split.
        self._began = ledger.today()
        self._day = self._began.isoformat()
        self._recorded: dict[int, AmountsByModel] = {}
        self._asked: dict[int, int] = {}
        self._allowed: dict[int, int] = {}
        self._tools: dict[str, ToolCounts] = {}  # not in the statistics yet
        self._all_tools: dict[str, ToolCounts] = {}

    def add(self, index: int, event: Event) -> None:
        """Record what *event* reports beyond what is recorded.

        Later reports may be smaller, or name another model; the ledger follows. Until a price is
        known, the highest possible one counts, so that no budget overlooks usage, and turns that
        run at once count against each other. Raises QuotaExceeded if a turn has asked the model
        again although the budget was spent and `may_go_on` had not allowed it.
        """
        match event:
            case Used():
                self._add_usage(index, event)
            case ToolUsed():
                self._add_tool(event)
            case LimitsReported():
                self._observers.limits_reported(event)
            case Ended():
                self._record_tools()

    def _add_usage(self, index: int, event: Used) -> None:
        went_on = 0 < self._most_allowed(index) < event.requests
        refusal = self._refusal() if went_on else None
        self._asked[index] = event.requests
        before, now = self._recorded.get(index, {}), _amounts_by_model(event.spent)
        if now and index == next(iter(self._recorded), index):  # one turn counts the request
            now[next(iter(now))] += Amounts(requests=1)
        self._recorded[index] = now
        nothing = Amounts()
        more = {m: now.get(m, nothing) - before.get(m, nothing) for m in {**before, **now}}
        self._record({model: amounts for model, amounts in more.items() if amounts != nothing})
        if refusal:
            raise refusal

    @property
    def has_budget(self) -> bool:
        """Say whether the key has a budget, which a turn may exhaust."""
        return self._principal.has_budget

    def may_go_on(self, index: int) -> bool:
        """Say whether the key's budget allows the turn another request to the model.

        What other turns spend until that request begins does not forbid it any more. Subagents run
        at once, so several requests may be allowed before the first of them is reported.
        """
        if self._refusal():
            return False
        self._allowed[index] = self._most_allowed(index) + 1
        return True

    def limits(self) -> Notes:
        """Return the state of the rates, and the thresholds that budgets have reached."""
        return self._rates.notes(*self._holders) | self.budget_warnings()

    def budget_warnings(self) -> Notes:
        """Return the thresholds that the budgets have reached."""
        return self._ledger.notes(*self._holders) if self.has_budget else NO_NOTES

    def close(self) -> None:
        """Add the usage to the metrics. Nothing can be recorded after that."""
        self._record_tools()
        asked, self._asked = self._asked, {}
        if not asked:  # nothing was used, or it is added already
            return
        self._observers.metrics.asked(sum(asked.values()))
        for amounts_by_model in self._recorded.values():
            for model, amounts in amounts_by_model.items():
                self._observers.metrics.spent(model, amounts)

    def usage(self) -> RequestUsage:
        """Return what the request has used up to now, of all models."""
        each = [amounts for turn in self._recorded.values() for amounts in turn.values()]
        sum_ = each[0] if len(each) == 1 else total(each)
        return RequestUsage(self._day, sum_, self._all_tools)

    def _add_tool(self, event: ToolUsed) -> None:
        self._observers.metrics.used_tool(event.name, event.outcome, event.seconds)
        counts = ToolCounts(
            uses=1,
            failures=int(event.outcome == "failed"),
            denials=int(event.outcome == "denied"),
            milliseconds=round(event.seconds * 1000),
        )
        name = event.name or OTHER
        for tools in (self._tools, self._all_tools):
            tools[name] = tools.get(name, ToolCounts()) + counts

    def _record_tools(self) -> None:
        tools, self._tools = self._tools, {}
        if tools:
            self._observers.tool_stats.add(self._day, self._principal.name, tools)

    def _most_allowed(self, index: int) -> int:
        """Return how many requests the turn may have made: those reported or allowed by now."""
        return max(self._asked.get(index, 0), self._allowed.get(index, 0))

    def _refusal(self) -> QuotaExceeded | None:
        if not self.has_budget:
            return None
        # After midnight the turn still spends the budgets of its own day.
        days = sorted({self._began, self._ledger.today()})
        try:
            for holder, day in product(self._holders, days):
                self._ledger.check(holder, day)
        except QuotaExceeded as error:
            return error
        except Unavailable:  # `_record` raises it, too, if it has to end the turn
            return None
        return None

    def _record(self, more: AmountsByModel) -> None:
        if not more:
            return
        name, sum_ = self._principal.name, total(more.values())
        rows = [Row(self._day, name, model, amounts) for model, amounts in more.items()]
        for holder in self._holders:
            if holder.user and sum_.charged and _has_budget(holder):
                rows.append(Row(self._day, name, "", sum_, holder.user))
        with ExitStack() as spending:  # in the end, even if one of these cannot be reached
            for holder in self._holders:
                spending.callback(self._rates.spend, holder, sum_.tokens)
            self._ledger.add(*rows)


def _has_budget(holder: LimitHolder) -> bool:
    return holder.usd_per_day is not None or holder.usd_per_month is not None


def _amounts_by_model(spent: Mapping[str, Spent]) -> AmountsByModel:
    return {model: _amounts(model, used) for model, used in spent.items()}


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
