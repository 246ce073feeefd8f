"""Check in a child process whether a JSON Schema is valid, and whether an answer fits it.

The child belongs to the offload's fork server. The kernel ends it if a check takes too long.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, NoReturn

from jsonschema_rs import (
    Draft202012Validator,
    FancyRegexOptions,
    ValidationError,
    ValidationErrorKind,
)

from wrapper.services.json_schema.cost import is_too_costly
from wrapper.services.json_schema.ecma_regex import translate
from wrapper.services.json_schema.subschemas import holds_schemas

# A pattern that takes more steps exceeds the limit, like too much CPU time.
BACKTRACKS = 10_000_000
REASON_CHARACTERS = 300
TOO_MANY_STEPS = (
    ValidationErrorKind.BacktrackLimitExceeded,
    ValidationErrorKind.RegexEngineFailure,
)
# Keywords whose values are not schemas, and those whose values are schemas by name.
VALUES = ("const", "enum", "default", "examples")
MAPS = (
    *("properties", "patternProperties", "$defs", "definitions"),
    *("dependentSchemas", "dependencies", "dependentRequired"),
)


def compile_schema(body: bytes) -> str | None:
    """Return why the JSON Schema in *body* is not valid, or None if it is.

    An empty object is checked against it too: a schema that takes too long for that does so for
    every value. Raises RecursionError if so many subschemas apply to one value that no check ends.
    """
    try:
        schema = json.loads(body, parse_float=Decimal)
        costly = is_too_costly(schema)
        if not costly:
            _validator(schema, {}).is_valid({})
    except (ValueError, RecursionError) as error:
        return _first_line(error)
    if costly:
        raise RecursionError
    return None


def check_answer(body: bytes, size: int) -> str | None:
    """Return why an answer does not fit a JSON Schema, or None if it does.

    *body* holds the schema in its first *size* bytes, followed by the answer. Raises
    RecursionError if a pattern takes too many steps.
    """
    try:
        text = body[size:].decode(errors="surrogatepass")  # from bytes, json guesses the encoding
        answer = json.loads(text, parse_constant=_refuse_constant, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        return f"it is not JSON: {_first_line(error)}"
    patterns: dict[str, str] = {}
    try:
        _validator(json.loads(body[:size], parse_float=Decimal), patterns).validate(answer)
    except ValidationError as error:
        return _reason(error, patterns)
    except (ValueError, RecursionError) as error:
        return _first_line(error)
    return None


def _validator(schema: dict[str, Any], patterns: dict[str, str]) -> Draft202012Validator:
    """Return a validator, and add its original patterns to *patterns* by their translations."""
    return Draft202012Validator(
        _translated(schema, patterns),
        retriever=_refuse_reference,
        pattern_options=FancyRegexOptions(backtrack_limit=BACKTRACKS),
    )


def _translated(schema: Any, patterns: dict[str, str]) -> Any:
    """Return *schema* with its regular expressions in the library's syntax."""
    if isinstance(schema, list):
        return [_translated(inner, patterns) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: _keyword(name, value, patterns) for name, value in schema.items()}


def _keyword(name: str, value: Any, patterns: dict[str, str]) -> Any:
    if name in VALUES:
        return value
    if name == "pattern" and isinstance(value, str):
        return _pattern(value, patterns)
    if name not in MAPS and not holds_schemas(name):
        return _unknown(value, patterns)
    if name not in MAPS or not isinstance(value, dict):
        return _translated(value, patterns)
    inner = {key: _translated(schema, patterns) for key, schema in value.items()}
    return _by_pattern(inner, patterns) if name == "patternProperties" else inner


def _unknown(value: Any, patterns: dict[str, str]) -> Any:
    """Return the *value* of an unknown keyword translated, since a reference may lead into it.

    It need not hold schemas, so that *value* may be none.
    """
    try:
        return _translated(value, patterns)
    except ValueError:
        return value


def _by_pattern(schemas: dict[str, Any], patterns: dict[str, str]) -> dict[str, Any]:
    """Return *schemas* by their translated patterns. Two may have the same translation."""
    translated: dict[str, Any] = {}
    for pattern, schema in schemas.items():
        key = _pattern(pattern, patterns)
        both = {"allOf": [translated[key], schema]} if key in translated else schema
        translated[key] = both
    return translated


def _pattern(pattern: str, patterns: dict[str, str]) -> str:
    translated = translate(pattern)
    patterns[translated] = pattern
    return translated


def _refuse_reference(uri: str) -> NoReturn:
    raise ValueError(f"{uri[:80]} leads out of the schema; put its target into $defs")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _reason(error: ValidationError, patterns: dict[str, str]) -> str:
    if isinstance(error.kind, TOO_MANY_STEPS):
        raise RecursionError
    message = error.message
    if isinstance(error.kind, ValidationErrorKind.Pattern):
        pattern = error.kind.pattern
        message = f"it does not match the pattern {patterns.get(pattern, pattern)!r}"
    where = ".".join(map(str, error.instance_path))
    text = message.partition("\n")[0][:REASON_CHARACTERS]
    return f"{where}: {text}" if where else text


def _first_line(error: Exception) -> str:
    message = error.message if isinstance(error, ValidationError) else str(error)
    return message.partition("\n")[0][:REASON_CHARACTERS]
