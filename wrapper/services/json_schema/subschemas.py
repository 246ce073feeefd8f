"""The schemas inside a JSON Schema, as opposed to the data that it also holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]
# True accepts everything, and False nothing.
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
    """Return *schema* after *change* was applied to each schema in it, the innermost first."""
    if not isinstance(schema, Mapping):
        return schema
    return change({name: _map_value(name, value, change) for name, value in schema.items()})


def _map_value(name: str, value: Any, change: Callable[[Schema], Schema]) -> Any:
    if name in MAPS and isinstance(value, Mapping):
        return {key: map_schemas(one, change) for key, one in value.items()}
    if name in LISTS and isinstance(value, list):
        return [map_schemas(one, change) for one in value]
    return map_schemas(value, change) if name in ONE else value


def types_of(schema: Schema) -> Sequence[str]:
    """Return the types of values that *schema* may accept."""
    kind = schema.get("type", TYPES)
    return [kind] if isinstance(kind, str) else kind


def holds_schemas(name: str) -> bool:
    """Return whether the keyword *name* holds schemas."""
    return name in ONE or name in LISTS or name in MAPS


def count_values(value: Any, limit: int) -> int:
    """Return how many values *value* holds, or *limit* if there are more."""
    waiting, count = [value], 0
    while waiting and count < limit:
        one = waiting.pop()
        count += 1
        if isinstance(one, Mapping):
            waiting.extend(one.values())
        elif isinstance(one, (list, tuple)):
            waiting.extend(one)
    return count
