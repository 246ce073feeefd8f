"""Replace numbers in a JSON Schema that JavaScript would change with words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from wrapper.json_text.precision import changes, is_suspect, reorders
from wrapper.services.json_schema.loosening import describe, in_words, loosen
from wrapper.services.json_schema.subschemas import Schema, holds_schemas

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
    return loosen(schema, _state_exactly)


def _state_exactly(schema: Schema) -> Schema:
    lost = [name for name, value in schema.items() if not holds_schemas(name) and changes(value)]
    kept = in_words(schema, lost)
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and reorders(properties):
        kept = describe(kept, f"Write its properties in this order: {_names(properties)}")
    return kept


def _names(properties: Mapping[str, Any]) -> str:
    return json.dumps([*properties], ensure_ascii=False)
