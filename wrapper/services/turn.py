"""The turn: what an engine is asked to answer.

What makes turns knows nothing of Claude Code; what runs them knows nothing of OpenAI or HTTP.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from wrapper.json_text.value_count import MOST_VALUES, has_too_many_values
from wrapper.services.principal import LOCAL, Principal

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


@dataclass(frozen=True)
class Image:
    """A picture: `data`, in base64, of a `media_type`, or a `url` that the model's API fetches.

    `corrected` says that the caller sent it with another type, or with a wrong checksum.
    """

    media_type: str = ""
    data: str = field(default="", repr=False)  # else a log of prompts would hold it
    url: str = ""
    corrected: bool = field(default=False, compare=False, repr=False)


@dataclass(frozen=True)
class Document:
    """A file: of text its `data` is the text, of application/pdf it is in base64.

    `corrected` says that the caller sent it with another type.
    """

    media_type: str
    data: str = field(repr=False)
    title: str = ""
    corrected: bool = field(default=False, compare=False, repr=False)


class Reminder(str):
    """A text that the gateway adds to what the user said; no client and no session sees it."""


@dataclass(frozen=True)
class ToolCall:
    """A function that the model called. `arguments` is the text of a JSON object."""

    id: str
    name: str
    arguments: str


def arguments_of(text: str) -> dict[str, Any]:
    """Return the arguments of a call, each number in them as a text of its digits.

    Raises ValueError where *text* is no JSON object, or one that cannot be written again: with NaN,
    with a lone surrogate, which is no text, or with one name twice, of which a reader keeps only
    the last value. The same holds for one of too many values.
    """
    if len(text) > MOST_VALUES and has_too_many_values(text.encode(errors="surrogatepass")):
        raise ValueError(f"more than {MOST_VALUES} values")
    held = json.loads(
        text,
        parse_constant=_refuse_constant,
        parse_int=str,
        parse_float=str,
        object_pairs_hook=_object_of_pairs,
    )
    json.dumps(held, ensure_ascii=False).encode()
    if not isinstance(held, dict):
        raise ValueError("no object")
    return held


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _object_of_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    held = dict(pairs)
    if len(held) != len(pairs):
        raise ValueError("one name twice")
    return held


@dataclass(frozen=True)
class ToolResult:
    """What the client's function returned to the call of this `id`."""

    id: str
    parts: tuple[str | Image, ...]


# A text is just that.
Part = str | Image | Document | ToolCall | ToolResult


@dataclass(frozen=True)
class Message:
    """What one side said, in one or more parts. Neither blank nor followed by the same role."""

    role: Literal["user", "assistant"]
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Function:
    """A function of the client's, which only the client can run. `parameters` is a JSON Schema.

    Where the model cannot get the schema that the client wrote, that is the `original`, and
    `parameters` accept more. Of one that is `strict` the client expects no other arguments.
    """

    name: str
    parameters: Mapping[str, Any]
    description: str = ""
    original: Mapping[str, Any] | None = None
    strict: bool = False

    @property
    def is_checked(self) -> bool:
        """Say whether the arguments of its calls are checked, which nothing else ensures."""
        return self.strict or self.original is not None


@dataclass(frozen=True)
class ToolChoice:
    """Whether functions are to be called: as the model likes, not at all, any one, or this one.

    `forced` says that the model can be made to call; one that thinks can only be asked to.
    """

    mode: Literal["auto", "none", "any", "one"] = "auto"
    name: str = ""
    parallel: bool = True
    forced: bool = True

    @property
    def demands(self) -> bool:
        """Say whether an answer must hold a call."""
        return self.mode in ("any", "one")


@dataclass(frozen=True)
class OutputSchema:
    """The JSON Schema that the answer must fit, and its name.

    `forced` says that the model can be made to answer so; one that thinks can only be told to.
    An answer that does not fit is an error where `strict`, else it is passed on if it is JSON.
    """

    name: str
    schema: Mapping[str, Any]
    forced: bool = True
    strict: bool = False
    original: Mapping[str, Any] | None = None

    @property
    def exact(self) -> Mapping[str, Any]:
        """Return the schema as the client wrote it; the model may have one that accepts more."""
        return self.schema if self.original is None else self.original


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


def _always() -> bool:
    return True


@dataclass(frozen=True)
class Turn:
    """A conversation that ends with the user's message, and how it is to be answered.

    `appends` says that `system` is said after the engine's own system prompt, not in its place. For
    a turn of a `session` the engine may keep what makes the next one quick. One that `compacts` is
    summarised where it is too long for the model. `adapted` are the paths of what its client sent
    in another form.

    An engine that asks the model several times calls `may_go_on` before each time but the first,
    once it has told what was used until then, and ends the turn with Ending.BUDGET where that
    returns False.
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
    appends: bool = False
    session: SessionKey | None = None
    compacts: bool = False
    adapted: tuple[str, ...] = field(default=(), compare=False)
    may_go_on: Callable[[], bool] = field(default=_always, compare=False, repr=False)
