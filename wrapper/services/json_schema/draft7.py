"""A JSON Schema in draft 7, the one in which Claude Code reads the schema of an agent's answer.

It reads it strictly: of a schema with a keyword that it does not know it takes nothing, and then
the agent has no way to answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from wrapper.json_text.precision import write_exact
from wrapper.services.json_schema.exact import describe
from wrapper.services.json_schema.references import find
from wrapper.services.json_schema.subschemas import Schema, map_schemas

KNOWN = {
    *("$id", "$ref", "$defs", "definitions", "type", "const", "enum"),
    *("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"),
    *("multipleOf", "maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum"),
    *("maxLength", "minLength", "pattern", "format", "contentMediaType", "contentEncoding"),
    *("items", "maxItems", "minItems", "uniqueItems", "contains"),
    *("properties", "patternProperties", "additionalProperties", "propertyNames"),
    *("maxProperties", "minProperties", "required"),
    *("allOf", "anyOf", "oneOf", "not", "if", "then", "else"),
}
_ANCHOR = re.compile("#[^/]")
# These say nothing about a value.
_SILENT = {"$schema", "$comment", "$anchor", "$dynamicAnchor", "$vocabulary"}


def as_draft_7(schema: Schema) -> tuple[Schema, bool]:
    """Return *schema* without what draft 7 lacks, and whether that says anything about values.

    Descriptions state what is left out. What it accepts is what the original accepts, or more.
    """
    lost: list[bool] = []

    def mend(one: Schema, root: Schema) -> Schema:
        reference = str(one.get("$ref", ""))
        if not reference.startswith("#/") or find(root, reference) is not True:
            return one
        lost.append(True)
        return {name: value for name, value in one.items() if name != "$ref"}

    known: Schema = map_schemas(schema, lambda one: _state_unknown(one, lost))
    mended: Schema = map_schemas(known, lambda one: mend(one, known))
    return mended, bool(lost)


def _state_unknown(schema: Schema, lost: list[bool]) -> Schema:
    unknown = set(_unknown(schema))
    kept: Schema = {name: value for name, value in schema.items() if name not in unknown}
    stated = {name: value for name, value in schema.items() if name in unknown - _SILENT}
    if not stated:
        return kept
    lost.append(True)
    return describe(kept, f"It must also match this JSON Schema: {write_exact(stated)}")


def _unknown(schema: Schema) -> Iterator[str]:
    """Yield the keywords that Claude Code would not take, alone or beside the others."""
    yield from (name for name in schema if name not in KNOWN)
    if "prefixItems" in schema:
        yield "items"
    if "patternProperties" in schema and "properties" in schema:
        yield from ("patternProperties", "additionalProperties")
    if "if" not in schema or not ("then" in schema or "else" in schema):
        yield from ("if", "then", "else")
    if _ANCHOR.match(str(schema.get("$ref", ""))):
        yield "$ref"
