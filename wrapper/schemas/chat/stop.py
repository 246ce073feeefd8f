"""Stop sequences: texts that end the answer."""

from __future__ import annotations

from typing import Any, ClassVar

from marshmallow import ValidationError, fields

_ARRAY = {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": 4}


class StopSequencesField(fields.Field[tuple[str, ...]]):
    """Up to four stop sequences."""

    json_schema: ClassVar[dict[str, Any]] = _ARRAY

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(stop, str) for stop in value):
            raise ValidationError("Not a valid array of strings.")
        if len(value) > 4 or not all(value):
            raise ValidationError("Must be up to 4 nonempty texts.")
        return tuple(value)


class StopField(StopSequencesField):
    """One stop sequence, or up to four."""

    json_schema: ClassVar[dict[str, Any]] = {
        "description": "A text that ends the answer, or up to four.",
        "anyOf": [{"type": "string", "minLength": 1}, _ARRAY],
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> tuple[str, ...]:
        return super()._deserialize([value] if isinstance(value, str) else value)
