"""Operations: each view declares its parameters, its body and its responses with a decorator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from wrapper.json_text import Json
from wrapper.schemas.base import SchemaLike

View = TypeVar("View", bound=Callable[..., Any])

_ATTRIBUTE = "gateway_operation"


@dataclass(frozen=True)
class Operation:
    """What a view accepts and returns. The view's docstring describes it in the OpenAPI document.

    - `examples`: bodies that the document shows, by their names.
    - `path`: a schema of the parameters in the path, if Flask's rule does not describe them.
    - `answers`: a schema for each status.
    - `answer`: an answer with status 200 that the document shows.
    - `stream`: the schema of the events, if a 200 may be a stream.
    - `event`: an event of it that the document shows.
    - `form`: a schema of the body, if it is multipart/form-data.
    - `text`: a description of the response, if it is plain text.
    - `binary`: the same, if it is bytes of any kind.
    - `errors`: the statuses of errors that do not follow from the parameters or `needs_key`.
    - `headers`: the response's own headers, with their meanings.
    - `turns`: whether it runs turns; it then counts its requests against rate and budget itself.
    """

    body: SchemaLike | None = None
    examples: Mapping[str, Json] = field(default_factory=dict)
    query: SchemaLike | None = None
    path: SchemaLike | None = None
    answers: Mapping[int, SchemaLike] = field(default_factory=dict)
    answer: Json | str | None = None
    stream: SchemaLike | None = None
    event: Json | None = None
    form: SchemaLike | None = None
    text: str = ""
    binary: str = ""
    errors: tuple[int, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    needs_key: bool = True
    turns: bool = False


def operation(**declared: Any) -> Callable[[View], View]:
    """Declare the operation of the decorated view, by the names of Operation's fields."""
    declaration = Operation(**declared)

    def declare(view: View) -> View:
        setattr(view, _ATTRIBUTE, declaration)
        return view

    return declare


def operation_of(view: Callable[..., Any]) -> Operation:
    """Return the operation of *view*; an undeclared one needs a key and describes nothing."""
    return getattr(view, _ATTRIBUTE, Operation())
