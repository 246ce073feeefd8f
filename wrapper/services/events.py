"""The events that an engine yields while it runs a turn, and what they tell that it has used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from enum import Enum
from typing import Literal

from wrapper.errors import ApiError
from wrapper.services.turn import Message

Source = Literal["warm", "cold", "parked", "recycled"]


@dataclass(frozen=True)
class Usage:
    """Tokens, as the engine counted them. `output` includes `reasoning`."""

    input: int = 0
    cache_read: int = 0
    cache_creation: int = 0
    output: int = 0
    reasoning: int = 0


def sum_usage(parts: Iterable[Usage]) -> Usage:
    """Return the sum of all *parts*."""
    return Usage(*map(sum, zip(*map(astuple, (Usage(), *parts)), strict=True)))


@dataclass(frozen=True)
class Spent:
    """What one model used. `cost_usd` is None where the engine could not say, or not yet."""

    usage: Usage
    cost_usd: float | None = None


def add_spent(*each: Mapping[str, Spent]) -> dict[str, Spent]:
    """Return what all of *each* used; where of one the cost is not known, it is not of the sum."""
    sums: dict[str, Spent] = {}
    for model, one in ((model, one) for spent in each for model, one in spent.items()):
        known = sums.get(model, Spent(Usage(), 0.0))
        costs = (known.cost_usd, one.cost_usd)
        cost = None if None in costs else sum(cost or 0.0 for cost in costs)
        sums[model] = Spent(sum_usage((known.usage, one.usage)), cost)
    return sums


class Ending(Enum):
    """Why a turn ended: with calls that the client has to run; abandoned, as nobody waited; before
    the model was asked again, since the key's budget is spent.
    """

    DONE = "done"
    LENGTH = "length"
    REFUSED = "refused"
    CALLS = "calls"
    ABANDONED = "abandoned"
    BUDGET = "budget"


@dataclass(frozen=True)
class Acquisition:
    """How a turn came to what it runs on.

    `source`: `warm`, or `cold`, where that had to be waited for; `parked` after a turn before it of
    the conversation; or `recycled`, after one of another.
    `lease` are the seconds until it had that, `configure` those until that knew all it must.
    """

    source: Source
    lease: float
    configure: float


@dataclass(frozen=True)
class Started:
    """The model has begun to answer. `model` is the one that runs.

    `resumed` says that what its session's last turn ran on goes on, `had` how the turn came to it,
    where the engine tells.
    """

    model: str
    resumed: bool = False
    had: Acquisition | None = None


@dataclass(frozen=True)
class TextDelta:
    text: str


@dataclass(frozen=True)
class ReasoningDelta:
    text: str


@dataclass(frozen=True)
class ToolUse:
    """The engine uses one of its own tools. `arguments` is JSON, as the model wrote it."""

    name: str
    arguments: str


@dataclass(frozen=True)
class CallStarted:
    """The model begins to call a function; calls are counted from 0."""

    index: int
    id: str
    name: str


@dataclass(frozen=True)
class CallDelta:
    """More of a call's `arguments`."""

    index: int
    arguments: str


@dataclass(frozen=True)
class Used:
    """What the turn has used up to now, by model; it is told before what was bought is.

    `requests` is how many answers of the model's it has taken, a tool's results between each.
    """

    spent: Mapping[str, Spent]
    requests: int = 0


@dataclass(frozen=True)
class Ended:
    """The turn is over. `cost_usd` is None where the engine could not say."""

    ending: Ending
    usage: Usage
    cost_usd: float | None


@dataclass(frozen=True)
class Compacted:
    """The conversation was too long, and goes on as `messages`, before the model has begun."""

    messages: tuple[Message, ...]


@dataclass(frozen=True)
class Noted:
    """Something that the client is told about its answer: the header's `name`, and a parameter."""

    name: Literal["x-adapted-params", "x-retried-params", "x-unmet-params", "x-ended-early"]
    param: str


def add_note(notes: Mapping[str, str], noted: Noted) -> dict[str, str]:
    """Return *notes*, by header name, with what *noted* adds."""
    known = filter(None, notes.get(noted.name, "").split(", "))
    return {**notes, noted.name: ", ".join(dict.fromkeys((*known, noted.param)))}


@dataclass(frozen=True)
class Unfit:
    """The answer is none that the client can use: the *error* it is once the turn has ended."""

    error: ApiError


Event = (
    Started
    | TextDelta
    | ReasoningDelta
    | ToolUse
    | CallStarted
    | CallDelta
    | Used
    | Ended
    | Compacted
    | Noted
    | Unfit
)


def beside(event: Event, before: Used) -> Event:
    """Return *event* with what it tells of use increased by what was used *before* its turn."""
    spent = before.spent
    if isinstance(event, Used):
        return Used(add_spent(spent, event.spent), before.requests + event.requests)
    if isinstance(event, Ended):
        costs = [event.cost_usd, *(one.cost_usd for one in spent.values())]
        cost = None if None in costs else sum(cost or 0.0 for cost in costs)
        usage = sum_usage((event.usage, *(one.usage for one in spent.values())))
        return Ended(event.ending, usage, cost)
    return event
