"""Find the schemas inside a JSON Schema, as opposed to the data that it also holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

Schema = Mapping[str, Any]
# True accepts every value, False none.
Part = Schema | bool

# The keywords that hold a schema, a list of schemas, or schemas by name.
ONE = {
    *("items", "additionalItems", "additionalProperties", "unevaluatedItems"),
    *("unevaluatedProperties", "contains", "propertyNames", "contentSchema"),
    *("not", "if", "then", "else"),
}
LISTS = {"allOf", "anyOf", "oneOf", "prefixItems", "items"}
MAPS = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
TYPES = ("array", "boolean", "null", "number", "object", "string")


def map_schemas(schema: Any, change: Callable[[Schema], Schema]) -> Any:
    """Return *schema* with *change* applied to each schema in it, the innermost first."""
    if not isinstance(schema, Mapping):
        return schema
    return change(
        {
            name: map_value(name, value, lambda part: map_schemas(part, change))
            for name, value in schema.items()
        }
    )


def map_value(name: str, value: Any, change: Callable[[Any], Any]) -> Any:
    """Return *value*, which *name* holds, with *change* applied to each schema directly in it."""
    if name in MAPS and isinstance(value, Mapping):
        return {key: change(schema) for key, schema in value.items()}
    if name in LISTS and isinstance(value, list):
        return [change(schema) for schema in value]
    return change(value) if name in ONE else value


def schemas_in(schema: Any) -> Iterator[Schema]:
    """Yield *schema* and each schema in it that is not a boolean."""
    waiting = [schema]
    while waiting:
        current = waiting.pop()
        if isinstance(current, Mapping):
            yield current
            for name, value in current.items():
                map_value(name, value, waiting.append)


def types_of(schema: Schema) -> Sequence[str]:
    """Return the types of values that *schema* may accept."""
    kind = schema.get("type", TYPES)
    return [kind] if isinstance(kind, str) else kind


def holds_schemas(name: str) -> bool:
    """Say whether the keyword *name* holds schemas."""
    return name in ONE or name in LISTS or name in MAPS


def count_values(value: Any, limit: int) -> int:
    """Return the number of values in *value*, itself included, but at most *limit*."""
    return sum(1 for _ in islice(walk(value), limit))


def walk(value: Any) -> Iterator[Any]:
    """Yield *value* and every value inside it."""
    waiting = [value]
    while waiting:
        current = waiting.pop()
        yield current
        if isinstance(current, Mapping):
            waiting.extend(current.values())
        elif isinstance(current, (list, tuple)):
            waiting.extend(current)
