"""What the schemas of all requests for turns share."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any, ClassVar

from marshmallow import ValidationError, pre_load

from wrapper.schemas.base import CodedMessage, NarrowingSchema
from wrapper.schemas.parameters import ParameterTable

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


class RequestSchema(NarrowingSchema):
    """A request whose parameters stand in the table `parameters`.

    The *ignored* parameters are dropped before validation, whatever their values.
    """

    parameters: ClassVar[ParameterTable]

    def __init__(self, *, ignored: Collection[str] = (), **options: Any):
        super().__init__(**options)
        self._ignored = ignored

    def load(self, data: Any, **options: Any) -> Any:
        """Load *data* without the ignored parameters, which the request then names as dropped."""
        if not isinstance(data, dict):
            return super().load(data, **options)
        data, dropped = self.parameters.drop(data, self._ignored)
        return self.with_dropped(super().load(data, **options), dropped)

    def with_dropped(self, request: Any, dropped: tuple[str, ...]) -> Any:
        """Return *request*, the request to run and how to write its answer, naming *dropped*."""
        if not dropped:
            return request
        return replace(request, request=replace(request.request, dropped=dropped))

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
