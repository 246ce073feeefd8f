"""What the schemas of all requests for turns share."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import lru_cache
from typing import Any, ClassVar, Self

from marshmallow import ValidationError, pre_load

from wrapper.schemas.base import BaseSchema, CodedMessage
from wrapper.schemas.parameters import ParameterTable

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
# How many sets of fields are remembered. Most clients always send the same.
MOST_NARROWED = 32


class RequestSchema(BaseSchema):
    """A request whose parameters stand in the table `parameters`.

    The *ignored* parameters are dropped before validation, whatever their values.
    """

    parameters: ClassVar[ParameterTable]
    required: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *, ignored: Collection[str] = (), **options: Any):
        super().__init__(**options)
        self._ignored = ignored
        self._narrowed = lru_cache(MOST_NARROWED)(self._narrow)

    def load(self, data: Any, **options: Any) -> Any:
        """Load *data* without the ignored parameters, which the request then names as dropped."""
        if not isinstance(data, dict):
            return super().load(data, **options)
        data, dropped = self.parameters.drop(data, self._ignored)
        schema = self._narrowed(frozenset(data).intersection(self.fields))
        return self.with_dropped(super(RequestSchema, schema).load(data, **options), dropped)

    def with_dropped(self, request: Any, dropped: tuple[str, ...]) -> Any:
        """Return *request*, the request to run and how to write its answer, naming *dropped*."""
        if not dropped:
            return request
        return replace(request, request=replace(request.request, dropped=dropped))

    def _narrow(self, names: frozenset[str]) -> Self:
        """Return the schema of requests with these fields, which Marshmallow loads faster."""
        return type(self)(only=[f for f in self.fields if f in names or f in self.required])

    @pre_load
    def drop_nulls(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Treat null as absence, for every optional field."""
        return {name: value for name, value in data.items() if value is not None}


def check_sampling(data: dict[str, Any], effort: str | None, effort_param: str) -> None:
    """Raise ValidationError if a request both thinks and samples, which the model's API refuses."""
    if effort in (None, "none"):
        return
    for name in ("temperature", "top_p"):
        if data.get(name, 1) < 1:
            message = (
                f"{name} cannot be set together with {effort_param}: the model's API "
                "does not allow sampling while it thinks."
            )
            raise ValidationError(CodedMessage(message, "unsupported_value"), name)


def refuse_chat_options(data: dict[str, Any]) -> None:
    """Raise ValidationError for options of Claude Code that only chat completions have."""
    for name in ("prefill", "compact"):
        if (data.get("claude") or {}).get(name):
            why = CodedMessage("Only chat completions have this option.", "unsupported_value")
            raise ValidationError({name: [why]}, "claude")
