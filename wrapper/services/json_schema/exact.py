"""Replace numbers in a JSON Schema that JavaScript would change with words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from wrapper.json_text.precision import changes, is_suspect, reorders, write_exact
from wrapper.services.json_schema.subschemas import Schema, holds_schemas, map_schemas

# A placeholder for a Decimal in the quick check.
_LONG = 10**16
_write = json.JSONEncoder(default=lambda _: _LONG).encode


def keep_exact(schema: Schema) -> Schema:
    """Return *schema* in a form that JavaScript does not change, or *schema* itself.

    The result lacks keywords with numbers that JavaScript would change; descriptions state them
    exactly. So the model learns every rule and reads no wrong number.
    """
    if not is_suspect(_write(schema)):
        return schema
    changed: Schema = map_schemas(schema, _state_exactly)
    return schema if changed == schema else changed


def describe(schema: Schema, sentence: str) -> Schema:
    """Return *schema* with *sentence* at the end of its description."""
    described = schema.get("description")
    before = f"{described}\n\n" if isinstance(described, str) and described else ""
    return {**schema, "description": before + sentence}


def _state_exactly(schema: Schema) -> Schema:
    lost = {
        name: value for name, value in schema.items() if not holds_schemas(name) and changes(value)
    }
    properties = schema.get("properties")
    kept: Schema = {name: value for name, value in schema.items() if name not in lost}
    if lost:
        kept = describe(kept, f"It must also match this JSON Schema: {write_exact(lost)}")
    if isinstance(properties, Mapping) and reorders(properties):
        kept = describe(kept, f"Write its properties in this order: {_names(properties)}")
    return kept


def _names(properties: Mapping[str, Any]) -> str:
    return json.dumps([*properties], ensure_ascii=False)
