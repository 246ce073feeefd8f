"""The conversation: a chat request's messages and parameters made into a turn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

from wrapper.errors import InvalidRequest
from wrapper.services.principal import LOCAL, Principal
from wrapper.services.turn import (
    Calling,
    Effort,
    Function,
    Message,
    Permissions,
    Sampling,
    Shape,
    Turn,
)

BLANK = "must hold more than white space: the model's API takes no blank text"


@dataclass(frozen=True)
class ChatMessage:
    """A message as the client sent it; `texts` are its text parts, in order."""

    role: str
    texts: tuple[str, ...]


@dataclass(frozen=True)
class ChatRequest:
    """A valid chat completion request. None stands for what was not given.

    `idle` are the parameters that it sets and that have no effect with any model.
    """

    messages: tuple[ChatMessage, ...]
    model: str | None = None
    profile: str | None = None
    stream: bool = False
    include_usage: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    n: int = 1
    effort: Effort | None = None
    service_tier: str | None = None
    show_tool_use: bool = False
    allowed_tools: tuple[str, ...] | None = None
    disallowed_tools: tuple[str, ...] = ()
    permission_mode: str | None = None
    max_turns: int | None = None
    functions: tuple[Function, ...] = ()
    calling: Calling = field(default_factory=Calling)
    legacy_functions: bool = False
    shape: Shape | None = None
    appends_system: bool = False
    idle: tuple[str, ...] = ()


@dataclass(frozen=True)
class Grant:
    """What a request gets of Claude Code: the profile, and what its tools may do."""

    profile: str
    permissions: Permissions = field(default_factory=Permissions)


def build_turn(
    request: ChatRequest, *, model: str, grant: Grant, principal: Principal = LOCAL
) -> Turn:
    """Return the turn that *request* asks for, as far as it was granted, to be run by *model*.

    Raises InvalidRequest where the conversation is one that the model's API refuses.
    """
    spoken = [(i, m) for i, m in enumerate(request.messages) if m.role in ("user", "assistant")]
    _check(spoken)
    return Turn(
        model=model,
        messages=tuple(_merge(message for _, message in spoken)),
        system=_system(request.messages),
        profile=grant.profile,
        sampling=_sampling(request),
        permissions=grant.permissions,
        functions=request.functions,
        calling=request.calling,
        shape=request.shape,
        appends=request.appends_system,
        principal=principal,
    )


def _check(spoken: list[tuple[int, ChatMessage]]) -> None:
    if not spoken:
        raise InvalidRequest("messages must hold a user message", param="messages")
    first, last = spoken[0], spoken[-1]
    if first[1].role == "assistant":
        raise _refuse(first[0], "role", "the first message must be the user's")
    if last[1].role == "assistant":
        raise _refuse(last[0], "role", "the last message must be the user's, to be answered")
    if not _glue(last[1].texts):
        raise _refuse(last[0], "content", BLANK)
    if next(m.role for _, m in spoken if _glue(m.texts)) == "assistant":
        raise _refuse(first[0], "content", BLANK)


def _refuse(index: int, key: str, why: str) -> InvalidRequest:
    param = f"messages.{index}.{key}"
    return InvalidRequest(f"{param}: {why}", param=param, code="invalid_value")


def _system(messages: Iterable[ChatMessage]) -> str | None:
    texts = ["".join(m.texts) for m in messages if m.role in ("system", "developer")]
    return "\n\n".join(text for text in texts if text.strip()) if texts else None


def _merge(messages: Iterable[ChatMessage]) -> Iterator[Message]:
    """Yield messages whose roles alternate; blank ones, which say nothing, are left out."""
    glued = [(m.role, texts) for m in messages if (texts := _glue(m.texts))]
    for role, group in groupby(glued, key=lambda pair: pair[0]):
        texts = tuple(text for _, texts in group for text in texts)
        yield Message("user" if role == "user" else "assistant", texts)


def _glue(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return *texts* with blank ones joined to a neighbour, so that no letter is lost."""
    glued: list[str] = []
    before = ""
    for text in texts:
        if not text.strip():
            if glued:
                glued[-1] += text
            else:
                before += text
        else:
            glued.append(before + text)
            before = ""
    return tuple(glued)


def _sampling(request: ChatRequest) -> Sampling:
    """Return the request's sampling, less what says no more than the API's own default.

    OpenAI's temperature goes to 2 and the model's to 1, where both are at their defaults.
    """
    return Sampling(
        request.max_tokens,
        _below_one(request.temperature),
        _below_one(request.top_p),
        request.stop,
        request.effort,
    )


def _below_one(value: float | None) -> float | None:
    return value if value is not None and value < 1 else None
