"""Adapt a caller's schema to what the model's API and Claude Code accept.

The adapted schema accepts everything that the original accepts, and words state the difference.
"""

from __future__ import annotations

from dataclasses import dataclass

from wrapper.json_text.precision import write_exact
from wrapper.services.json_schema.exact import keep_exact
from wrapper.services.json_schema.loosening import describe
from wrapper.services.json_schema.object_schema import fold, is_composed
from wrapper.services.json_schema.subschemas import Part, Schema, map_schemas

# Claude Code truncates a function's description to this length.
DESCRIPTION_CHARACTERS = 4096
# A schema's own description is not truncated, but costs tokens.
STATED_CHARACTERS = 4 * DESCRIPTION_CHARACTERS
_SENTENCE = "The object must also match this JSON Schema: "
_ANNOTATIONS = {"title", "description", "examples", "default", "$comment", "deprecated"}


@dataclass(frozen=True)
class ModelSchema:
    """The `schema` that the model gets, and the `original` if that accepts less."""

    schema: Schema
    original: Schema | None = None
    composed: bool = False


def adapt(schema: Part) -> ModelSchema:
    """Return the form of *schema*, a valid one, that the model gets. Raises NoObject."""
    folded = fold(schema)
    exact = keep_exact(folded)
    composed = folded is not schema and is_composed(schema)
    if isinstance(schema, bool) or not (composed or exact is not folded):
        return ModelSchema(exact)
    return ModelSchema(exact, schema, composed)


def state_original(adapted: ModelSchema, description: str = "") -> tuple[Schema, str]:
    """Return a function's schema and *description*, one of which states the original.

    That is the description if it has room, otherwise the schema's own description. An original
    that is too long for both is not stated.
    """
    schema, original = adapted.schema, adapted.original
    if not adapted.composed or original is None:
        return schema, description
    before = f"{description}\n\n" if description else ""
    if stated := _state(original, DESCRIPTION_CHARACTERS - len(before)):
        return schema, before + stated
    stated = _state(original, STATED_CHARACTERS)
    return describe(schema, stated) if stated else schema, description


def state_in_schema(adapted: ModelSchema) -> Schema:
    """Return the schema of an answer. Its own description states the original."""
    if not adapted.composed or adapted.original is None:
        return adapted.schema
    stated = _state(adapted.original, STATED_CHARACTERS)
    return describe(adapted.schema, stated) if stated else adapted.schema


def _state(schema: Part, room: int) -> str:
    """Return a sentence that states *schema*, without annotations if it is too long otherwise.

    It is empty if *room* is too small even for that.
    """
    for stated in (schema, map_schemas(schema, _without_annotations)):
        sentence = _SENTENCE + write_exact(stated)
        if len(sentence) <= room:
            return sentence
    return ""


def _without_annotations(schema: Schema) -> Schema:
    return {name: value for name, value in schema.items() if name not in _ANNOTATIONS}
