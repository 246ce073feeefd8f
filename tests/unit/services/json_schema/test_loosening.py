"""No adapted schema refuses what the original accepts."""

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from jsonschema_rs import Draft7Validator, Draft202012Validator

from wrapper.services.json_schema.draft7 import as_draft_7
from wrapper.services.json_schema.exact import keep_exact
from wrapper.services.json_schema.loosening import loosen
from wrapper.services.json_schema.model_schema import adapt
from wrapper.services.json_schema.object_schema import NoObject

LONG = 1234567890123456789
STRING = {"type": "string"}


def tagged(tag, kind):
    return {"type": "array", "prefixItems": [{"const": tag}, {"type": kind}]}


def in_object(schema):
    return {"type": "object", "properties": {"a": schema}}


# Values that each original accepts, and that it would refuse with only its inner schemas loosened.
STRICTER = [
    ({"oneOf": [tagged("move", "integer"), tagged("say", "string")]}, ["move", 3]),
    ({"anyOf": [True], "oneOf": [{"const": LONG}, {"const": 1}]}, 1),
    ({"not": {"const": LONG}}, 1),
    ({"not": {"dependentRequired": {"x": ["y"]}}}, {"x": 1}),
    ({"if": {"unevaluatedProperties": False}, "then": False}, {"x": 1}),
    ({"if": {"const": LONG}, "then": False, "else": {"type": "integer"}}, 1),
    ({"contains": {"const": LONG}, "minContains": 0, "maxContains": 1}, [1, 2]),
    ({"contains": {"const": 1}, "minContains": 0}, [2]),
    ({"not": {"$ref": "#/$defs/long"}}, 1),
]
DEFINITIONS = {"long": {"const": LONG}}


@pytest.mark.parametrize(("schema", "value"), STRICTER)
def test_stricter(schema, value):
    """A negation or a choice of schemas that accept more refuses nothing that it accepted."""
    whole = {**in_object(schema), "$defs": DEFINITIONS}
    exact = adapt(whole).schema
    assert Draft202012Validator(dict(exact)).is_valid({"a": value})
    assert Draft7Validator(dict(as_draft_7(exact)[0])).is_valid({"a": value})


def test_words():
    """Words replace what would refuse more, and lose nothing of it."""
    schema = {"not": {"properties": {"a": {"const": LONG}}}, "oneOf": [STRING]}
    words = '{"not": {"properties": {"a": {"const": 1234567890123456789}}}}'
    assert keep_exact(schema) == {
        "anyOf": [STRING],
        "description": f"It must also match this JSON Schema: {words}\n\n"
        "It must match exactly one of the schemas in anyOf.",
    }


def test_references_to_anything():
    """A reference to a definition that accepts everything is kept, as its target is there."""
    schema = {**in_object({"const": LONG}), "$defs": {"any": True}}
    schema["properties"]["b"] = {"$ref": "#/$defs/any"}
    assert keep_exact(schema)["properties"]["b"] == {"$ref": "#/$defs/any"}


def test_unchanged():
    """A schema in which nothing changes stays the same, with its negations and choices."""
    schema = in_object({"not": {"oneOf": [STRING, {"$ref": "#"}]}})
    assert loosen(schema, lambda inner: inner) is schema


def test_what_stays():
    """A negation stays if nothing in it changes."""
    schema = {**in_object({"const": LONG}), "not": {"required": ["b"]}}
    assert keep_exact(schema)["not"] == {"required": ["b"]}


numbers = st.sampled_from([0, 1, 2, LONG])
names = st.sampled_from(["a", "b"])
references = st.sampled_from(["#", "#/$defs/x", "#/$defs/x/oneOf/0", "#/properties/a", "#/not"])
leaves = st.booleans() | st.one_of(
    numbers.map(lambda number: {"const": number}),
    numbers.map(lambda number: {"minimum": number}),
    references.map(lambda reference: {"$ref": reference}),
    st.sampled_from([{}, STRING, {"type": "object"}, {"required": ["a"]}, {"x-own": 1}]),
    st.sampled_from([{"dependentRequired": {"a": ["b"]}}, {"unevaluatedItems": False}]),
    st.just({"unevaluatedProperties": False}),
)


def compositions(inner):
    lists = st.lists(inner, min_size=1, max_size=3)
    by_name = st.dictionaries(names, inner, min_size=1, max_size=2)
    keywords = {
        **dict.fromkeys(("not", "if", "then", "else", "contains", "items"), inner),
        **dict.fromkeys(("additionalProperties", "propertyNames"), inner),
        **dict.fromkeys(("anyOf", "allOf", "oneOf", "prefixItems"), lists),
        **dict.fromkeys(("properties", "patternProperties", "dependentSchemas"), by_name),
        **dict.fromkeys(("unevaluatedProperties", "unevaluatedItems"), inner),
        **dict.fromkeys(("minContains", "maxContains"), st.integers(0, 2)),
        "const": numbers,
        "$ref": references,
    }
    several = st.lists(st.sampled_from([*keywords]), min_size=1, max_size=4, unique=True)
    return several.flatmap(lambda chosen: st.fixed_dictionaries({n: keywords[n] for n in chosen}))


schemas = st.recursive(leaves, compositions, max_leaves=8)
values = st.recursive(
    st.sampled_from([None, 0, 1, 2, LONG, LONG + 1, "a", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=2),
    max_leaves=5,
)


@hypothesis_settings(max_examples=500)
@given(schemas, schemas, st.booleans(), st.lists(values, min_size=8, max_size=8))
def test_nothing_is_refused(schema, definition, composed, several):
    """Each form of a schema accepts everything that the original accepts."""
    inside = in_object(schema)
    whole = {**({"anyOf": [inside]} if composed else inside), "$defs": {"x": definition}}
    original = compiled(whole)
    if original is None:
        return
    accepted = [value for value in ({"a": value} for value in several) if original.is_valid(value)]
    try:
        form = adapt(whole).schema
    except NoObject:
        assert not accepted
        return
    for check in (Draft202012Validator(dict(form)), Draft7Validator(dict(as_draft_7(form)[0]))):
        assert [value for value in accepted if not check.is_valid(value)] == []


def compiled(schema):
    try:
        return Draft202012Validator(schema)
    except ValueError:  # a reference that leads nowhere
        return None
