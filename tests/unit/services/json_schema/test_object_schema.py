"""Compositions at the top are folded into one object schema, and words state the original."""

import json
import time
from typing import Annotated, Literal

import pydantic
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator

from wrapper.services.json_schema.model_schema import DESCRIPTION_CHARACTERS, adapt, state_original
from wrapper.services.json_schema.object_schema import NoObject, fold

OBJECT = {"type": "object"}
CAT = {
    "type": "object",
    "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}},
    "required": ["kind", "lives"],
    "additionalProperties": False,
}
DOG = {
    "type": "object",
    "properties": {"kind": {"const": "dog"}, "name": {"type": "string"}},
    "required": ["kind"],
    "additionalProperties": False,
}
NAMED = {"properties": {"name": {"minLength": 2}}, "required": ["name"]}


class Closed(pydantic.BaseModel):
    model_config = {"extra": "forbid"}


class Cat(Closed):
    """A cat."""

    kind: Literal["cat"]
    lives: int


class Dog(Closed):
    kind: Literal["dog"]
    name: str = "x"


class Pet(pydantic.RootModel[Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]]):
    pass


class MaybePet(pydantic.RootModel[Cat | Dog | None]):
    pass


class Node(pydantic.BaseModel):
    value: int
    next: "Node | None" = None


# As zod-to-json-schema and OpenAI's libraries write them.
ZOD = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "$ref": "#/definitions/pet",
    "definitions": {"pet": {"anyOf": [CAT, {"$ref": "#/definitions/dog"}]}, "dog": DOG},
}


PETS = {"kind": {"enum": ["cat", "dog"]}, "lives": {"type": "integer"}, "name": {"type": "string"}}
FOLDED = [
    ({}, {**OBJECT, "properties": {}}),
    (True, OBJECT),
    ({"type": ["object", "null"], "title": "T"}, {**OBJECT, "title": "T", "properties": {}}),
    ({"properties": {"a": {}}}, {**OBJECT, "properties": {"a": {}}}),
    (
        {"anyOf": [CAT, DOG]},
        {**OBJECT, "properties": PETS, "required": ["kind"], "additionalProperties": False},
    ),
    (
        ZOD,
        {
            "$schema": ZOD["$schema"],
            **OBJECT,
            "properties": PETS,
            "required": ["kind"],
            "additionalProperties": False,
        },
    ),
    (
        {"oneOf": [CAT, {"type": "null"}, {"type": "array"}]},
        CAT,
    ),
    (
        {"$ref": "#/$defs/a~1b%25", "$defs": {"a/b%": CAT, "unused": {}}},
        CAT,
    ),
    (
        {"allOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]}, NAMED]},
        {
            **OBJECT,
            "properties": {"a": {"type": "integer"}, "name": {"minLength": 2}},
            "required": ["a", "name"],
        },
    ),
    (
        {**DOG, "allOf": [NAMED]},
        {
            **DOG,
            "properties": {
                "kind": {"const": "dog"},
                "name": {"allOf": [{"type": "string"}, {"minLength": 2}]},
            },
            "required": ["kind", "name"],
        },
    ),
    (
        {"anyOf": [{"properties": {"a": {"type": "string"}}}, {"properties": {"b": {}}}]},
        {**OBJECT, "properties": {"a": {"anyOf": [{"type": "string"}, {}]}, "b": {}}},
    ),
    (
        {"const": {"a": 1}},
        {
            **OBJECT,
            "properties": {"a": {"const": 1}},
            "required": ["a"],
            "additionalProperties": False,
        },
    ),
]


@pytest.mark.parametrize(("schema", "folded"), FOLDED)
def test_folded(schema, folded):
    """A schema is folded into an object schema that keeps as much as it can express."""
    assert fold(schema) == folded


@pytest.mark.parametrize("schema", [OBJECT, CAT, {**OBJECT, "not": {"required": ["a"]}}])
def test_unchanged(schema):
    """An object schema without a composition at its top is unchanged."""
    assert fold(schema) is schema
    assert adapt(schema).original is None


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"type": "array"},
        {"type": ["string", "null"]},
        {"anyOf": [{"type": "string"}, False]},
        {"enum": [1, "a"]},
        {"allOf": [OBJECT, {"type": "array"}]},
        {"allOf": [{**CAT, "properties": {}}, CAT]},
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "integer"}}},
    ],
)
def test_no_object(schema):
    """A schema that accepts no object is an error."""
    with pytest.raises(NoObject, match="accepts no"):
        fold(schema)


@pytest.mark.parametrize("model", [Pet, MaybePet, Node])
def test_pydantic(model):
    """Schemas of Pydantic's unions, root models and recursive models are folded."""
    folded = fold(model.model_json_schema())
    validator = Draft202012Validator(dict(folded))
    good = {"kind": "cat", "lives": 9} if model is not Node else {"value": 1, "next": {"value": 2}}
    bad = {"kind": "cow"} if model is not Node else {"next": {"value": 2}}
    assert folded["type"] == "object"
    assert validator.is_valid(good)
    assert not validator.is_valid(bad)


names = st.sampled_from(["a", "b", "c"])
leaves = st.sampled_from(
    [
        *({}, True, False, {"type": "string"}, {"type": "integer"}, {"const": 1}, {"const": True}),
        *({"enum": [1, 2]}, {"minimum": 2}, {"$ref": "#/$defs/x"}, {"$ref": "#"}),
        *({"$ref": "#/allOf/0"}, {"$ref": "#/properties/a"}, {"type": ["object", "null"]}),
    ]
)
objects = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["object", ["object", "null"], "array"]),
        "properties": st.dictionaries(names, leaves, max_size=3),
        "required": st.lists(names, max_size=2, unique=True),
        "additionalProperties": leaves,
        "patternProperties": st.just({"^[ab]": {"type": "integer"}}),
        "unevaluatedProperties": st.just(False),
        "enum": st.just([{"a": 1}, {"a": 1, "b": "x"}, 5]),
        "const": st.just({"b": 1}),
        "minProperties": st.just(1),
    },
)
composed = st.recursive(
    objects | leaves,
    lambda inner: st.builds(
        lambda own, name, several: own | {name: several},
        objects,
        st.sampled_from(["anyOf", "oneOf", "allOf"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=6,
)
values = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["x", "yy"])
candidates = st.dictionaries(names | st.just("d"), values | st.dictionaries(names, values))


def _compiled(schema):
    try:
        return Draft202012Validator(schema)
    except ValueError:  # a reference that leads nowhere
        return None


@hypothesis_settings(max_examples=150)
@given(composed, leaves, st.lists(candidates, min_size=5, max_size=5))
def test_nothing_is_lost(schema, definition, objects):
    """The folded schema accepts every object that the original accepts."""
    if not isinstance(schema, bool):
        schema = {**schema, "$defs": {"x": definition}}
    original = _compiled(schema)
    if original is None:
        return
    accepted = [value for value in objects if original.is_valid(value)]
    try:
        folded = fold(schema)
    except NoObject:
        assert not accepted
        return
    validator = Draft202012Validator(dict(folded))
    assert folded["type"] == "object"
    assert not {"anyOf", "oneOf", "allOf", "$ref"} & folded.keys()
    assert [value for value in accepted if not validator.is_valid(value)] == []


def _doubling():
    twice = {str(n): {"allOf": [{"$ref": f"#/$defs/{n + 1}"}] * 2} for n in range(34)}
    return {"$ref": "#/$defs/0", "$defs": {**twice, "34": OBJECT}}


def _growing():
    """Return a schema whose folded form would double with each level."""
    definitions: dict[str, object] = {"0": {"properties": {"a": {"const": 0}}}}
    for n in range(1, 20):
        before = {"$ref": f"#/$defs/{n - 1}"}
        either = [{"properties": {"a": {"minimum": n}}}, {"properties": {"a": {"maximum": n}}}]
        definitions[str(n)] = {"anyOf": [{"allOf": [before, part]} for part in either]}
    return {"$ref": "#/$defs/19", "$defs": definitions}


def _wide():
    each = ({"properties": {f"a{n}{m}": {"const": m} for m in range(20)}} for n in range(500))
    return {"anyOf": [*each]}


def _many_required():
    return {"anyOf": [{"required": [f"a{n}" for n in range(300)]} for _ in range(100)]}


def _one_by_one():
    return {"allOf": [{"required": [f"a{n}"]} for n in range(8000)]}


def _deep():
    schema = CAT
    for _ in range(150):
        schema = {"anyOf": [schema]}
    return schema


@pytest.mark.parametrize("build", [_doubling, _growing, _wide, _deep, _many_required, _one_by_one])
def test_bounded(build):
    """No schema takes long to fold or becomes much larger."""
    schema = build()
    began = time.process_time()
    folded = fold(schema)
    assert time.process_time() - began < 1
    assert len(json.dumps(folded)) < 10 * len(json.dumps(schema)) + 10_000


def test_references_of_another_document():
    """A schema with its own $id has its own definitions."""
    inner = {"$id": "inner", "$ref": "#/$defs/a", "$defs": {"a": OBJECT}}
    schema = {"anyOf": [inner], "$defs": {"a": {"type": "object", "required": ["x"]}}}
    assert fold(schema) == {**OBJECT, "properties": {}}


def test_circles():
    """Circular references end, and require nothing there."""
    schema = {"anyOf": [{"$ref": "#"}, {"$ref": "#/$defs/a"}], "$defs": {"a": {"$ref": "#"}}}
    assert fold(schema) == {**OBJECT, "properties": {}}


def test_the_description_states_the_original():
    """The description states the original, which is what calls are checked against."""
    adapted = adapt({"anyOf": [CAT, DOG]})
    schema, description = state_original(adapted, "Feeds a pet.")
    assert adapted.original == {"anyOf": [CAT, DOG]}
    assert schema == adapted.schema
    first, _, stated = description.partition("\n\n")
    assert first == "Feeds a pet."
    assert json.loads(stated.partition(": ")[2]) == adapted.original


@pytest.mark.parametrize("length", [0, 3000, 4000, 4096, 9000])
@pytest.mark.parametrize("explained", ["", "x" * 3000, "x" * 30_000])
def test_the_description_stays_short(length, explained):
    """No description becomes longer than Claude Code accepts, and none is truncated."""
    about = {**CAT, "description": explained, "title": explained}
    schema, description = state_original(adapt({"anyOf": [about, DOG]}), "d" * length)
    assert description.startswith("d" * length)
    assert len(description) <= max(DESCRIPTION_CHARACTERS, length)
    assert '"dog"' in description or '"dog"' in schema["description"]


def test_an_original_with_long_numbers_is_stated_exactly():
    """Folded schemas state long numbers in words too."""
    adapted = adapt({"anyOf": [{**CAT, "properties": {"id": {"const": 1234567890123456789}}}]})
    _, description = state_original(adapted, "")
    assert adapted.schema["properties"]["id"].keys() == {"description"}
    assert '{"const": 1234567890123456789}' in description
