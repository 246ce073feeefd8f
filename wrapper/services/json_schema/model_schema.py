"""The schema that the model gets in place of one that the caller wrote, where it cannot get that.

What is adapted accepts all that the original accepts, and words state what it leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass

from wrapper.json_text.precision import write_exact
from wrapper.services.json_schema.exact import describe, keep_exact
from wrapper.services.json_schema.object_schema import fold, is_composed
from wrapper.services.json_schema.subschemas import Part, Schema, map_schemas

# Claude Code cuts a function's description after as many characters.
DESCRIPTION_CHARACTERS = 4096
# A schema's own description is not cut, but its reader pays for it.
STATED_CHARACTERS = 4 * DESCRIPTION_CHARACTERS
_SENTENCE = "The object must also match this JSON Schema: "
_ANNOTATIONS = {"title", "description", "examples", "default", "$comment", "deprecated"}


@dataclass(frozen=True)
class ModelSchema:
    """The `schema` that the model gets, and the `original` where that one accepts less."""

    schema: Schema
    original: Schema | None = None
    composed: bool = False


def adapt(schema: Part) -> ModelSchema:
    """Return what the model gets of *schema*, which is valid. Raises NoObject."""
    folded = fold(schema)
    exact = keep_exact(folded)
    composed = folded is not schema and is_composed(schema)
    if isinstance(schema, bool) or not (composed or exact is not folded):
        return ModelSchema(exact)
    return ModelSchema(exact, schema, composed)


def state_original(adapted: ModelSchema, description: str = "") -> tuple[Schema, str]:
    """Return the schema and the *description* of a function, of which one states the original.

    The description does if it has room for that; else the schema's own description, which is not
    cut. An original that is too long for both is stated nowhere.
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
    """Return the schema of an answer; its own description states the original."""
    if not adapted.composed or adapted.original is None:
        return adapted.schema
    stated = _state(adapted.original, STATED_CHARACTERS)
    return describe(adapted.schema, stated) if stated else adapted.schema


def _state(schema: Part, room: int) -> str:
    """Return the sentence that states *schema*, less what only explains it where it is too long.

    Nothing, where *room* is too small for that.
    """
    for stated in (schema, map_schemas(schema, _without_annotations)):
        sentence = _SENTENCE + write_exact(stated)
        if len(sentence) <= room:
            return sentence
    return ""


def _without_annotations(schema: Schema) -> Schema:
    return {name: value for name, value in schema.items() if name not in _ANNOTATIONS}
