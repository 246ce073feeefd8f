"""The operation: what a view takes and answers, declared at the view itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from wrapper.schemas.base import SchemaLike

View = TypeVar("View", bound=Callable[..., Any])

_KEPT_AS = "gateway_operation"


@dataclass(frozen=True)
class Operation:
    """What a view takes and answers; its docstring says what it does.

    `places` has a schema of the parameters in its path, where Flask's rule does not say enough.
    `answers` has a schema for each status, `stream` that of the events where a 200 may be a
    stream; where it is a plain text, `text` says of what. `errors` are the statuses of errors that
    follow neither from what it takes nor from `needs_key`, `headers` its answers' own headers and
    their meanings. `turns` says that it runs turns, and counts its requests against rate and budget
    itself.
    """

    body: SchemaLike | None = None
    query: SchemaLike | None = None
    places: SchemaLike | None = None
    answers: Mapping[int, SchemaLike] = field(default_factory=dict)
    stream: SchemaLike | None = None
    text: str = ""
    errors: tuple[int, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    needs_key: bool = True
    turns: bool = False


def operation(**declared: Any) -> Callable[[View], View]:
    """Declare what the decorated view takes and answers, by the names of Operation's fields."""
    kept = Operation(**declared)

    def declare(view: View) -> View:
        setattr(view, _KEPT_AS, kept)
        return view

    return declare


def operation_of(view: Callable[..., Any]) -> Operation:
    """Return what *view* declares; one that does not needs a key and tells of nothing."""
    return getattr(view, _KEPT_AS, Operation())
