"""What all schemas share: strict fields, and errors that carry OpenAI's codes."""

from __future__ import annotations

from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields


class Coded(str):
    """An error message with OpenAI's `code` for it."""

    code: str

    def __new__(cls, message: str, code: str) -> Coded:
        coded = super().__new__(cls, message)
        coded.code = code
        return coded


class BaseSchema(Schema):
    """A schema that ignores unknown fields, as OpenAI-compatible servers do."""

    class Meta:
        unknown = EXCLUDE


class StrictBool(fields.Boolean):
    """A boolean, and not one of the many things that look like one."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("Not a valid boolean.")
        return value


class StrictFloat(fields.Float):
    """A number, and neither a text nor a boolean."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValidationError("Not a valid number.")
        try:
            return float(value)
        except OverflowError:
            raise ValidationError("Too large a number.") from None


class StrictInt(fields.Integer):
    """An integer, and neither a boolean nor a fraction."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValidationError("Not a valid integer.")
        return value


def without_nulls(data: Any) -> Any:
    """Return *data* without nulls: one means the same as absence, for every optional field."""
    if not isinstance(data, dict):
        return data
    return {name: value for name, value in data.items() if value is not None}


def first_error(errors: Any, path: tuple[str, ...] = ()) -> tuple[str, str]:
    """Return the path (`messages.0.role`) and the message of the first of marshmallow's errors."""
    if isinstance(errors, dict):
        key = next(iter(errors))
        step = () if key in ("_schema", "key", "value") else (str(key),)
        return first_error(errors[key], (*path, *step))
    return ".".join(path), errors[0] if isinstance(errors, list) else errors


def code_of(message: str) -> str:
    """Return OpenAI's code for one of marshmallow's messages."""
    if isinstance(message, Coded):
        return message.code
    if message.startswith("Missing data"):
        return "missing_required_parameter"
    return (
        "invalid_type" if message.startswith(("Not a valid", "Invalid input")) else "invalid_value"
    )
