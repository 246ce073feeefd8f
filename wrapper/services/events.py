"""The events that an engine yields while it runs a turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from wrapper.errors import ApiError
from wrapper.notes import Notes
from wrapper.services.approvals.approval import Approval
from wrapper.services.provider_limits import ProviderLimits
from wrapper.services.spent import Spent as Spent  # engines and apps import both from here
from wrapper.services.spent import Usage as Usage
from wrapper.services.spent import add_spent, sum_costs, sum_usage
from wrapper.services.tools.mcp import McpTool
from wrapper.services.turn import Message, ToolCall

# How the use of a tool ended.
UseOutcome = Literal["done", "failed", "denied"]
Source = Literal["warm", "cold", "parked", "recycled"]


class Ending(Enum):
    """Why a turn ended.

    CALLS: the client must run functions. ABANDONED: nobody waited for the answer any more.
    BUDGET: the key's budget was spent before the model was asked again.
    """

    DONE = "done"
    LENGTH = "length"
    REFUSED = "refused"
    CALLS = "calls"
    ABANDONED = "abandoned"
    BUDGET = "budget"


@dataclass(frozen=True)
class Acquisition:
    """How a turn got its process.

    `source`: `warm`; `cold`, where the turn waited for its start; `parked` by an earlier turn of
    the same conversation; or `recycled` after a turn of another one.
    `lease` is the seconds until the turn had the process, `configure` those until the process was
    configured.
    """

    source: Source
    lease: float
    configure: float


@dataclass(frozen=True)
class Started:
    """The model has begun to answer. `model` is the one that runs.

    `resumed` says that the process of the session's last turn goes on. `acquisition` says how the
    turn got its process, where the engine knows it.
    """

    model: str
    resumed: bool = False
    acquisition: Acquisition | None = None


@dataclass(frozen=True)
class TextDelta:
    text: str


@dataclass(frozen=True)
class ReasoningDelta:
    text: str


@dataclass(frozen=True)
class Thought:
    """The model has ended a thinking block. Its `text` came in ReasoningDeltas; it may be empty.

    The model's API takes the block back only unchanged, with this `signature`. `prefix` is a digest
    of what came before it; see Thinking.
    """

    text: str
    signature: str
    prefix: str = ""


@dataclass(frozen=True)
class RedactedThought:
    """The model has ended a thinking block that its API shows only encrypted, as `data`."""

    data: str
    prefix: str = ""


@dataclass(frozen=True)
class ToolUse:
    """The engine uses one of its own tools. `arguments` is the JSON text that the model wrote."""

    name: str
    arguments: str
    id: str = field(default="", compare=False)


@dataclass(frozen=True)
class ToolUsed:
    """One of the engine's own tools has finished, after some `seconds`.

    `name` is empty for a tool that the engine does not offer. A tool that was `denied` did not run;
    one that `failed` ran into an error, or was broken off. `id` is that of its ToolUse, if the
    model itself used it and no subagent. `output` is the text that the model gets, if the tool is
    an MCP server's.
    """

    name: str
    outcome: UseOutcome
    seconds: float
    id: str = field(default="", compare=False)
    output: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True)
class ToolsListed:
    """An MCP server that the caller brings has listed its `tools`; these may be used.

    Each has at least a `name` and an `inputSchema`, as in MCP.
    """

    server: str
    tools: tuple[Mapping[str, Any], ...] = field(repr=False)


@dataclass(frozen=True)
class ApprovalChanged:
    """A tool use of the engine waits for the `approval` of the turn's owner, or no longer does.

    It comes once without and once with a decision.
    """

    approval: Approval


@dataclass(frozen=True)
class CallStarted:
    """The model begins to call a function. The `index` counts calls from 0.

    With `asked` it is that tool of an MCP server, whose call the client is to approve.
    """

    index: int
    id: str
    name: str
    asked: McpTool | None = None


@dataclass(frozen=True)
class CallDelta:
    """The next piece of a call's `arguments`."""

    index: int
    arguments: str


@dataclass(frozen=True)
class ApprovedCallRan:
    """A `call` that the client has approved ran before the model was asked; see ToolUsed."""

    call: ToolCall
    used: ToolUsed


@dataclass(frozen=True)
class RawEvent:
    """An event of the model's API, unchanged, in the answer to a turn with a `body`.

    Its `type` is one of the API's, which may be new.
    """

    data: Mapping[str, Any]


@dataclass(frozen=True)
class Used:
    """What the turn has used up to now, by model. It comes before the events that were paid for.

    `requests` counts the turn's requests to the model; the results of tools come between them.
    """

    spent: Mapping[str, Spent]
    requests: int = 0


@dataclass(frozen=True)
class LimitsReported:
    """The provider says how much of its limits the gateway's `login` has used.

    It is for the gateway's operator, and no part of the answer.
    """

    limits: ProviderLimits
    login: str = ""


@dataclass(frozen=True)
class Ended:
    """The turn is over. `cost_usd` is None where the engine does not know it."""

    ending: Ending
    usage: Usage
    cost_usd: float | None


@dataclass(frozen=True)
class Compacted:
    """The conversation was too long and goes on as `messages`. It comes before Started."""

    messages: tuple[Message, ...]


@dataclass(frozen=True)
class Noted:
    """More `notes` about the answer, for the client."""

    notes: Notes


@dataclass(frozen=True)
class Unfit:
    """The client cannot use the answer. *error* is raised once the turn has ended."""

    error: ApiError


Event = (
    Started
    | TextDelta
    | ReasoningDelta
    | Thought
    | RedactedThought
    | ToolUse
    | ToolUsed
    | ToolsListed
    | ApprovalChanged
    | CallStarted
    | CallDelta
    | ApprovedCallRan
    | RawEvent
    | Used
    | LimitsReported
    | Ended
    | Compacted
    | Noted
    | Unfit
)


def add_usage(event: Event, before: Used) -> Event:
    """Return *event*; where it reports usage, add the usage of an attempt *before*."""
    spent = before.spent
    if isinstance(event, Used):
        return Used(add_spent(spent, event.spent), before.requests + event.requests)
    if isinstance(event, Ended):
        cost = sum_costs((event.cost_usd, *(part.cost_usd for part in spent.values())))
        usage = sum_usage((event.usage, *(part.usage for part in spent.values())))
        return Ended(event.ending, usage, cost)
    return event
