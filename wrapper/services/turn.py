"""The turn: what an engine is asked to answer.

The code that builds turns knows nothing of Claude Code. The code that runs them knows nothing of
OpenAI or HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from wrapper.notes import Notes
from wrapper.services.approvals.approval import Approver
from wrapper.services.principal import LOCAL, Principal
from wrapper.services.tools.mcp import McpServer

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
# How a model thinks: within a budget, as much as it likes, or so that it cannot be turned off.
ThinkingMode = Literal["budget", "adaptive", "always"]
# What an approval may allow: nothing; changes of files in the agent's directory, and tools of MCP
# servers; all tools, but no file elsewhere; or all tools.
Approvable = Literal["nothing", "edits", "inside", "anything"]


@dataclass(frozen=True)
class Image:
    """An image: its `data` in base64 and its `media_type`, or a `url` that the model's API fetches.

    `corrected` says that the caller sent another media type or a wrong checksum.
    """

    media_type: str = ""
    data: str = field(default="", repr=False)  # keeps it out of the log of prompts
    url: str = ""
    corrected: bool = field(default=False, compare=False, repr=False)


@dataclass(frozen=True)
class Document:
    """A file. The `data` of text/plain is the text, that of application/pdf is base64.

    `corrected` says that the caller sent another media type.
    """

    media_type: str
    data: str = field(repr=False)
    title: str = ""
    corrected: bool = field(default=False, compare=False, repr=False)


class Reminder(str):
    """A text that the gateway adds to the user's message. Clients and sessions never see it."""


class Approved(str):
    """Stands for the result of an approved call of an MCP server's tool.

    The engine runs the call where the last message has it. Elsewhere it is what the model gets.
    """


@dataclass(frozen=True)
class ToolCall:
    """A call of a function by the model, or of a tool of the MCP `server` of this name.

    `arguments` is the text of a JSON object.
    """

    id: str
    name: str
    arguments: str
    server: str = ""


@dataclass(frozen=True)
class ToolResult:
    """The result of the call with this `id`, which the client's function returned."""

    id: str
    parts: tuple[str | Image | Document, ...]


@dataclass(frozen=True)
class Thinking:
    """A thinking block of an earlier answer, with the `signature` that the model's API gave it.

    `prefix` is the engine's digest of the model and of what came before the block. Where these
    differ the API may refuse the block, so that the engine leaves it out. Callers only pass it on.
    """

    text: str
    signature: str
    prefix: str = ""


@dataclass(frozen=True)
class RedactedThinking:
    """A thinking block that the model's API shows only encrypted, as `data`; see Thinking."""

    data: str
    prefix: str = ""


# For isinstance.
THINKING = (Thinking, RedactedThinking)

# A str is a text.
Part = str | Image | Document | ToolCall | ToolResult | Thinking | RedactedThinking


@dataclass(frozen=True)
class Message:
    """A message of one or more parts. It is not blank, and the next message has the other role."""

    role: Literal["user", "assistant"]
    parts: tuple[Part, ...]


def approved_calls(messages: Sequence[Message]) -> tuple[ToolCall, ...]:
    """Return the calls that are to run before the model is asked, by the end of *messages*."""
    if len(messages) < 2:
        return ()
    approved = {
        part.id
        for part in messages[-1].parts
        if isinstance(part, ToolResult) and any(isinstance(inner, Approved) for inner in part.parts)
    }
    calls = (part for part in messages[-2].parts if isinstance(part, ToolCall))
    return tuple(call for call in calls if call.id in approved)


@dataclass(frozen=True)
class Function:
    """A function that the client offers and runs itself. `parameters` is a JSON Schema.

    Where the model cannot take the client's schema, `original` is that schema, and `parameters` is
    one that accepts more. `strict` says that arguments must match the schema.
    """

    name: str
    parameters: Mapping[str, Any]
    description: str = ""
    original: Mapping[str, Any] | None = None
    strict: bool = False

    @property
    def is_checked(self) -> bool:
        """Say whether the gateway must check the arguments of calls, because nothing else does."""
        return self.strict or self.original is not None


@dataclass(frozen=True)
class ToolChoice:
    """Whether the model calls functions: as it likes, never, at least one, or the one of `name`.

    `forced` says that the API makes the model call. A model that thinks can only be asked to.
    """

    mode: Literal["auto", "none", "any", "one"] = "auto"
    name: str = ""
    parallel: bool = True
    forced: bool = True

    @property
    def demands(self) -> bool:
        """Say whether an answer must contain a call."""
        return self.mode in ("any", "one")


@dataclass(frozen=True)
class OutputSchema:
    """The JSON Schema that the answer must match, and its name.

    `forced` says that the API makes the model match it. A model that thinks can only be asked to.
    An answer that does not match is an error if `strict`. Otherwise it is passed on if it is JSON.
    """

    name: str
    schema: Mapping[str, Any]
    forced: bool = True
    strict: bool = False
    original: Mapping[str, Any] | None = None

    @property
    def exact(self) -> Mapping[str, Any]:
        """Return the client's own schema. The model may get one that accepts more."""
        return self.schema if self.original is None else self.original


@dataclass(frozen=True)
class Sampling:
    """How the model answers. None leaves a setting to the model."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    effort: Effort | None = None


@dataclass(frozen=True)
class Permissions:
    """What the engine's own tools may do. None leaves a setting to the engine.

    `allow`, `deny` and `ask` are rules in the engine's syntax, or names of tools. What `ask` names
    needs an approval even if it is allowed. `approvable` says what runs if the turn's `approver`
    approves it. `max_turns` limits the rounds of tool use.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    mode: str | None = None
    max_turns: int | None = None
    approvable: Approvable = "nothing"
    ask: tuple[str, ...] = ()


@dataclass(frozen=True)
class SessionKey:
    """A session's identity: its `owner`, the `id` that the owner chose, and a unique `uid`.

    A new session with the id of a deleted one has another uid.
    """

    owner: str
    id: str
    uid: str


def _always() -> bool:
    return True


@dataclass(frozen=True)
class Turn:
    """A conversation that ends with the user's message, and how the model answers it.

    `appends` puts `system` after the engine's own system prompt instead of replacing that. For a
    turn of a `session` the engine may keep a process, so that the next turn is quick. `compacts`
    says that a conversation too long for the model is summarised. The agent gets the tools of the
    `mcp_servers`. `thinking` is how the model
    thinks, if it does, and `effort_param` the client's name for `sampling.effort`. `adapted` lists
    the paths of what the client sent in another form.

    An engine that asks the model several times calls `may_go_on` before each further request, after
    it has reported the usage so far. Where that returns False it ends the turn with Ending.BUDGET.
    Before it uses a tool that needs approval it asks the `approver`. Without one, it is denied.
    `fallbacks` are the same turn for other models, with the notes on each. They are to run in its
    place if its model fails before it begins; then it is not worth waiting for. `background` says
    that nobody waits for the answer, so that other turns come first.

    With a `body`, which has the form of the model's API, the engine passes that on instead of
    messages, system prompt and functions, and yields the API's own events. The model is `model`,
    whatever the body says, and it is asked once. Only plain turns have a body.
    """

    model: str
    messages: tuple[Message, ...]
    system: str | None = None
    profile: str = "agent"
    sampling: Sampling = field(default_factory=Sampling)
    permissions: Permissions = field(default_factory=Permissions)
    principal: Principal = LOCAL
    functions: tuple[Function, ...] = ()
    tool_choice: ToolChoice = field(default_factory=ToolChoice)
    output_schema: OutputSchema | None = None
    mcp_servers: tuple[McpServer, ...] = ()
    appends: bool = False
    session: SessionKey | None = None
    compacts: bool = False
    thinking: ThinkingMode = "budget"
    effort_param: str = field(default="reasoning_effort", compare=False)
    adapted: tuple[str, ...] = field(default=(), compare=False)
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    may_go_on: Callable[[], bool] = field(default=_always, compare=False, repr=False)
    approver: Approver | None = field(default=None, compare=False, repr=False)
    background: bool = field(default=False, compare=False)
    fallbacks: tuple[tuple[Turn, Notes], ...] = field(default=(), compare=False, repr=False)
