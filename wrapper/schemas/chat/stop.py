"""The stop texts: a text that ends the answer, or a few."""

from __future__ import annotations

from typing import Any, ClassVar

from marshmallow import ValidationError, fields

_SEVERAL = {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": 4}


class StopSequences(fields.Field[tuple[str, ...]]):
    """Up to four texts that end the answer."""

    json_schema: ClassVar[dict[str, Any]] = _SEVERAL

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(stop, str) for stop in value):
            raise ValidationError("Not a valid array of strings.")
        if len(value) > 4 or not all(value):
            raise ValidationError("Must be up to 4 texts, none of them empty.")
        return tuple(value)


class Stop(StopSequences):
    """One stop text, or up to four."""

    json_schema: ClassVar[dict[str, Any]] = {
        "description": "A text that ends the answer, or up to four.",
        "anyOf": [{"type": "string", "minLength": 1}, _SEVERAL],
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> tuple[str, ...]:
        return super()._deserialize([value] if isinstance(value, str) else value)
