"""What all schemas share: strict fields, and errors that carry OpenAI's codes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields

from wrapper.errors import InvalidRequest

MAX_INTEGER = 2**31 - 1
Shape = Schema | type[Schema]


def means(text: str) -> dict[str, str]:
    """Return a field's metadata that say what it means."""
    return {"description": text}


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

    @classmethod
    def tell(cls, told: dict[str, Any]) -> dict[str, Any]:
        """Return the JSON Schema of what is loaded; *told* is what the fields say of it."""
        return told


class StrictBool(fields.Boolean):
    """A boolean, and not one of the many things that look like one."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("Not a valid boolean.")
        return value


class StrictFloat(fields.Float):
    """A number, and neither a text nor a boolean."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
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


def nullable(told: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of what *told* allows, or null."""
    if "enum" in told:
        told = {**told, "enum": [*told["enum"], None]}
    if "type" in told:
        return {**told, "type": [told["type"], "null"]}
    if "$ref" in told:
        rest = {key: value for key, value in told.items() if key != "$ref"}
        return {**rest, "anyOf": [{"$ref": told["$ref"]}, {"type": "null"}]}
    if "anyOf" in told:
        return {**told, "anyOf": [*told["anyOf"], {"type": "null"}]}
    return told


def is_neutral(value: Any, neutral: tuple[Any, ...]) -> bool:
    """Say whether *value* is null or one of *neutral*, where false is not 0 as it is in Python."""
    return value is None or any(
        value == one and isinstance(value, bool) == isinstance(one, bool) for one in neutral
    )


def tell_neutral(unsupported: Mapping[str, tuple[Any, ...]]) -> dict[str, Any]:
    """Return the JSON Schemas of fields that may only hold what `is_neutral`."""
    what = "Not supported: what asks for nothing is taken, and all else refused."
    return {
        name: {"description": what, "enum": [*neutral, None]}
        for name, neutral in unsupported.items()
    }


def checked(schema: Schema, data: Any) -> Any:
    """Return what *schema* makes of *data*. Raises InvalidRequest for the first that is wrong."""
    try:
        return schema.load(data)
    except ValidationError as error:
        param, message = first_error(error.normalized_messages())  # type: ignore[no-untyped-call]
        text = f"{param}: {message}" if param else message
        raise InvalidRequest(text, param=param or None, code=code_of(message)) from None


def first_error(errors: Any, path: tuple[str, ...] = ()) -> tuple[str, str]:
    """Return the path (`messages.0.role`) and the message of the first of marshmallow's errors."""
    if isinstance(errors, dict):
        key = next(iter(errors))
        # Below a dictionary's field, marshmallow says whether its key or its value is wrong.
        side = bool(path) and key in ("key", "value")
        step = () if key == "_schema" or side else (str(key),)
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
