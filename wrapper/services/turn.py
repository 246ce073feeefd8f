"""The turn: what an engine is asked to answer, and the events in which it answers.

What makes turns knows nothing of Claude Code; what runs them knows nothing of OpenAI or HTTP.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field
from enum import Enum
from typing import Any, Literal

from wrapper.services.principal import LOCAL, Principal

Source = Literal["warm", "cold", "parked", "recycled"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


@dataclass(frozen=True)
class Image:
    """A picture: `data`, in base64, of a `media_type`, or a `url` that the model's API fetches."""

    media_type: str = ""
    data: str = field(default="", repr=False)  # else a log of prompts would hold it
    url: str = ""


@dataclass(frozen=True)
class Document:
    """A file: of text its `data` is the text, of application/pdf it is in base64."""

    media_type: str
    data: str = field(repr=False)
    title: str = ""


@dataclass(frozen=True)
class Call:
    """A function that the model called. `arguments` is the text of a JSON object."""

    id: str
    name: str
    arguments: str


def arguments_of(text: str) -> dict[str, Any]:
    """Return the arguments of a call. Raises ValueError where *text* is no JSON object, or one
    that cannot be written again: with NaN, 1e999, or a lone surrogate, which is no text."""
    held = json.loads(text, parse_constant=_refuse_constant)
    json.dumps(held, ensure_ascii=False, allow_nan=False).encode()
    if not isinstance(held, dict):
        raise ValueError("no object")
    return held


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


@dataclass(frozen=True)
class Result:
    """What the client's function returned to the call of this `id`."""

    id: str
    parts: tuple[str | Image, ...]


# A text is just that.
Part = str | Image | Document | Call | Result


@dataclass(frozen=True)
class Message:
    """What one side said, in one or more parts. Neither blank nor followed by the same role."""

    role: Literal["user", "assistant"]
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Function:
    """A function of the client's, which only the client can run. `parameters` is a JSON Schema."""

    name: str
    parameters: Mapping[str, Any]
    description: str = ""


@dataclass(frozen=True)
class Calling:
    """Whether functions are to be called: as the model likes, not at all, any one, or this one."""

    mode: Literal["auto", "none", "any", "one"] = "auto"
    name: str = ""
    parallel: bool = True


@dataclass(frozen=True)
class Shape:
    """The JSON Schema that the answer must fit, and its name.

    `forced` says that the model can be made to answer so; one that thinks can only be told to.
    """

    name: str
    schema: Mapping[str, Any]
    forced: bool = True


@dataclass(frozen=True)
class Sampling:
    """How the model is to answer; None leaves it to the model."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    effort: Effort | None = None


@dataclass(frozen=True)
class Permissions:
    """What the engine's own tools may do. None leaves a thing as the engine has it.

    `allow` and `deny` are rules in the engine's syntax, which a bare tool name is, too.
    `max_turns` is how many rounds of tool use there may be.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    mode: str | None = None
    max_turns: int | None = None


@dataclass(frozen=True)
class SessionKey:
    """A session's name: the `id` that its owner calls it by, and `uid`, its own for ever.

    Where an owner uses the id of a session that is gone, the uid is another one.
    """

    owner: str
    id: str
    uid: str


@dataclass(frozen=True)
class Turn:
    """A conversation that ends with the user's message, and how it is to be answered.

    `appends` says that `system` is said after the engine's own system prompt, not in its place. For
    a turn of a `session` the engine may keep what makes the next one quick. One that `compacts` is
    summarised where it is too long for the model.
    """

    model: str
    messages: tuple[Message, ...]
    system: str | None = None
    profile: str = "agent"
    sampling: Sampling = field(default_factory=Sampling)
    permissions: Permissions = field(default_factory=Permissions)
    principal: Principal = LOCAL
    functions: tuple[Function, ...] = ()
    calling: Calling = field(default_factory=Calling)
    shape: Shape | None = None
    appends: bool = False
    session: SessionKey | None = None
    compacts: bool = False


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
    return Usage(*map(sum, zip(*map(astuple, parts), strict=True)))


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
    """Why a turn ended: with calls that the client has to run; abandoned, as nobody waited."""

    DONE = "done"
    LENGTH = "length"
    REFUSED = "refused"
    CALLS = "calls"
    ABANDONED = "abandoned"


@dataclass(frozen=True)
class Had:
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
    had: Had | None = None


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
