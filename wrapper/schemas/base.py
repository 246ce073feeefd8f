"""What all schemas share: strict fields, and errors with OpenAI's codes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any, Self

from marshmallow import EXCLUDE, Schema, ValidationError, fields, missing
from marshmallow.validate import Equal, Length, Range

from wrapper.errors import InvalidRequest

MAX_INTEGER = 2**31 - 1
# How many sets of fields are remembered. Most clients always send the same.
MOST_NARROWED = 64
# Of a path; a client chooses its last name where that is unknown. Errors and logs repeat it.
LONGEST_PATH = 200
SchemaLike = Schema | type[Schema]


def describe(text: str) -> dict[str, str]:
    """Return a field's metadata with this description."""
    return {"description": text}


def always(value: str) -> fields.String:
    """Return a required field that always has this value."""
    return fields.String(required=True, validate=Equal(value))


# Real names are far shorter. What is known of a model is remembered by its name.
model_name = partial(fields.String, validate=Length(min=1, max=512))
required_text = partial(fields.String, required=True)
nullable_text = partial(fields.String, required=True, allow_none=True)
required_count = partial(fields.Integer, required=True, validate=Range(min=0))
required_object = partial(fields.Nested, required=True)
unix_seconds = partial(required_count, metadata=describe("Unix seconds; 0 if unknown."))


class CodedMessage(str):
    """An error message with OpenAI's `code` for it."""

    code: str

    def __new__(cls, message: str, code: str) -> CodedMessage:
        coded = super().__new__(cls, message)
        coded.code = code
        return coded


class BaseSchema(Schema):
    """A schema that ignores unknown fields, as OpenAI-compatible servers do."""

    class Meta:
        unknown = EXCLUDE

    @classmethod
    def extend_json_schema(cls, json_schema: dict[str, Any]) -> dict[str, Any]:
        """Return the OpenAPI document's schema; *json_schema* is what follows from the fields."""
        return json_schema


class ListSchema(BaseSchema):
    """A page of a list, with `data` of a schema of its own."""

    object = always("list")
    first_id = nullable_text()
    last_id = nullable_text()
    has_more = fields.Boolean(required=True)


class NarrowingSchema(BaseSchema):
    """A schema that loads an object by the fields that it has, which is faster than by all."""

    def __init__(self, **options: Any):
        super().__init__(**options)
        self._optional = [name for name, field in self.fields.items() if _is_optional(field)]
        self._narrowed = lru_cache(MOST_NARROWED)(self._narrow)

    def load(self, data: Any, **options: Any) -> Any:
        if not isinstance(data, dict):
            return super().load(data, **options)
        schema = self._narrowed(frozenset(data).intersection(self._optional))
        return super(NarrowingSchema, schema).load(data, **options)

    def _narrow(self, names: frozenset[str]) -> Self:
        """Return the schema of objects with these of the optional fields."""
        absent = [name for name in self._optional if name not in names]
        return type(self)(exclude=absent) if absent else self


def _is_optional(field: fields.Field[Any]) -> bool:
    return not field.required and field.load_default is missing


class BoundedList(fields.List[Any]):
    """A list whose length is checked before its items are loaded."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> list[Any]:
        if isinstance(value, list):
            self._validate(value)
        return super()._deserialize(value, *args, **kwargs)


class StrictBool(fields.Boolean):
    """A boolean. Values that only resemble one, such as 1 or "true", are refused."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("Not a valid boolean.")
        return value


class StrictFloat(fields.Float):
    """A number. Strings and booleans are refused."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
            raise ValidationError("Not a valid number.")
        try:
            return float(value)
        except OverflowError:
            raise ValidationError("Too large a number.") from None


class StrictInt(fields.Integer):
    """An integer. Booleans and fractions are refused."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValidationError("Not a valid integer.")
        return value


def nullable(json_schema: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of what *json_schema* allows, or null."""
    if "enum" in json_schema:
        json_schema = {**json_schema, "enum": [*json_schema["enum"], None]}
    if "type" in json_schema:
        return {**json_schema, "type": [json_schema["type"], "null"]}
    if "$ref" in json_schema:
        rest = {key: value for key, value in json_schema.items() if key != "$ref"}
        return {**rest, "anyOf": [{"$ref": json_schema["$ref"]}, {"type": "null"}]}
    if "anyOf" in json_schema:
        return {**json_schema, "anyOf": [*json_schema["anyOf"], {"type": "null"}]}
    return json_schema


def is_neutral(value: Any, neutral: tuple[Any, ...]) -> bool:
    """Say whether *value* is null or one of *neutral*. Unlike in Python, false is not 0."""
    return value is None or any(
        value == other and isinstance(value, bool) == isinstance(other, bool) for other in neutral
    )


def neutral_json_schemas(unsupported: Mapping[str, tuple[Any, ...]]) -> dict[str, Any]:
    """Return the JSON Schemas of *unsupported* fields, which accept only neutral values."""
    description = "Not supported. Only values that ask for nothing are accepted."
    return {
        name: {"description": description, "enum": [*neutral, None]}
        for name, neutral in unsupported.items()
    }


def load_data(schema: Schema, data: Any) -> Any:
    """Return *data* as *schema* loads it. Raises InvalidRequest for the first mistake."""
    try:
        return schema.load(data)
    except ValidationError as error:
        path, message = first_error(error.normalized_messages())  # type: ignore[no-untyped-call]
        param = path[:LONGEST_PATH]
        text = f"{param}: {message}" if param else message
        raise InvalidRequest(text, param=param or None, code=code_of(message)) from None


def first_error(errors: Any, path: tuple[str, ...] = ()) -> tuple[str, str]:
    """Return the path (`messages.0.role`) and the message of the first of Marshmallow's errors."""
    if isinstance(errors, dict):
        key = next(iter(errors))
        # Below a Dict field, Marshmallow adds whether the key or the value is wrong.
        is_side = bool(path) and key in ("key", "value")
        step = () if key == "_schema" or is_side else (str(key),)
        return first_error(errors[key], (*path, *step))
    return ".".join(path), errors[0] if isinstance(errors, list) else errors


def code_of(message: str) -> str:
    """Return OpenAI's code for one of Marshmallow's messages."""
    if isinstance(message, CodedMessage):
        return message.code
    if message.startswith("Missing data"):
        return "missing_required_parameter"
    wrong_type = message.startswith(("Not a valid", "Invalid input"))
    return "invalid_type" if wrong_type else "invalid_value"
