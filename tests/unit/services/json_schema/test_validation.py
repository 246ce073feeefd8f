"""Which schemas are valid, and which answers fit them."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.costly_schemas import COSTLY
from wrapper.errors import SchemaTooCostly
from wrapper.services.json_schema import validation
from wrapper.services.json_schema.validation import (
    CHECK_SECONDS,
    COMPILE_SECONDS,
    MOST_BYTES,
    misfit,
    what_is_wrong,
)
from wrapper.services.turn import OutputSchema

pytestmark = pytest.mark.packages

OBJECT = {"type": "object"}
PERSON = {
    **OBJECT,
    "properties": {"name": {"type": "string"}, "of": {"$ref": "#/$defs/age"}},
    "required": ["name"],
    "additionalProperties": False,
    "$defs": {"age": {"type": "integer", "minimum": 0}},
}
RECURSIVE = {**OBJECT, "properties": {"inner": {"$ref": "#"}}}


@pytest.mark.parametrize("schema", [OBJECT, PERSON, RECURSIVE, {**OBJECT, "x-own": 1}])
def test_good_schemas(schema):
    """An object schema may have definitions and refer to itself."""
    assert what_is_wrong(schema) is None


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({**OBJECT, "properties": 5}, "not a valid JSON Schema"),
        ({**OBJECT, "properties": {"a": {"type": "text"}}}, "not a valid JSON Schema"),
        ({**OBJECT, "properties": {"a": {"pattern": "("}}}, "not a valid JSON Schema"),
        ({**OBJECT, "properties": {"a": {"$ref": "#/$defs/no"}}}, "not a valid JSON Schema"),
        (
            {**OBJECT, "properties": {"a": {"$ref": "http://127.0.0.1:1/x"}}},
            "leads out of the schema",
        ),
        (
            {**OBJECT, "properties": {"a": {"$ref": "file:///etc/passwd"}}},
            "leads out of the schema",
        ),
    ],
)
def test_bad_schemas(schema, why):
    """A schema that is not valid, or refers to another document, is refused with a reason."""
    assert why in (what_is_wrong(schema) or "")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ('{"name": "Ada"}', None),
        ('{"name": "Ada", "of": 3}', None),
        ('{"name": "Ada", "of": -3}', "of: "),
        ('{"of": 3}', "name"),
        ('{"name": 5}', "name: "),
        ('{"name": "Ada", "more": 1}', "more"),
        ("[]", "object"),
        ("Ada", "not JSON"),
        ("", "not JSON"),
        ('{"name": "Ada"', "not JSON"),
        ('\ufeff{"name": "Ada"}', "not JSON"),
        ('{"name": "Ada"}'.encode("utf-16-le").decode(), "not JSON"),
    ],
)
def test_misfit(answer, why):
    """An answer fits the schema, or the reason names the place."""
    reason = misfit(OutputSchema("person", PERSON), answer)
    assert (reason is None) if why is None else (why in (reason or ""))


def test_no_pattern_takes_long():
    """A pattern that backtracks without end is stopped."""
    schema = {**OBJECT, "properties": {"a": {"type": "string", "pattern": "^(?=(a+)+$)(a|aa)+b$"}}}
    began = time.monotonic()
    misfit(OutputSchema("slow", schema), json.dumps({"a": "a" * 50_000}))
    assert time.monotonic() - began < 50  # without a limit it takes years


def test_depth():
    """A schema or answer that is nested too deeply is refused."""
    deep: dict[str, object] = {"type": "object"}
    for _ in range(3000):
        deep = {"type": "object", "properties": {"a": deep}}
    assert "not a valid JSON Schema" in (what_is_wrong(deep) or "")
    assert misfit(OutputSchema("x", OBJECT), '{"a":' * 3000 + "1" + "}" * 3000) != ""


def doubling(levels=34, **more):
    """Return a schema whose check takes twice as long with each level."""
    definitions = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)}
    last = {f"d{levels}": {"type": "object"}}
    return {**OBJECT, "$defs": {**definitions, **last}, **more}


@pytest.mark.parametrize(
    "more",
    [
        {"$ref": "#/$defs/d0"},
        {"properties": {"x": {"$ref": "#/$defs/d0"}}},
        {"properties": {"x": {"items": {"not": {"$ref": "#/%24defs/d0"}}}}},
        {"patternProperties": {"a": {"if": True, "then": {"$ref": "#/$defs/d0"}}}},
        {"dependentSchemas": {"x": {"$ref": "#/$defs/d0"}}},
    ],
)
def test_costly_schemas(more):
    """A schema whose check does not end is refused with the limit."""
    why = what_is_wrong(doubling(**more)) or ""
    assert f"takes more than {COMPILE_SECONDS} s of CPU time" in why


@pytest.mark.parametrize(("schema", "answer"), COSTLY)
def test_costly_answers(schema, answer):
    """A check of an answer that does not end is stopped, and the error names the limit."""
    assert what_is_wrong(schema) is None
    with pytest.raises(SchemaTooCostly) as caught:
        misfit(OutputSchema("slow", schema), answer)
    assert f"takes more than {CHECK_SECONDS} s of CPU time" in caught.value.message
    assert (caught.value.param, caught.value.code) == ("response_format", "schema_too_costly")


def test_large_schemas():
    """A schema has a maximum size."""
    schema = {**OBJECT, "description": "x" * MOST_BYTES}
    assert f"{MOST_BYTES} is the most" in (what_is_wrong(schema) or "")


def test_schemas_are_cached(monkeypatch):
    """A schema is checked only once."""
    schema = {**OBJECT, "title": "remembered"}
    assert what_is_wrong(schema) is None
    monkeypatch.setattr(validation, "offload", None)
    assert what_is_wrong(dict(schema)) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=4), st.text())
def test_any_schema_and_answer(schema, answer):
    """Any schema and any answer gives a reason or None."""
    for candidate in (schema, {**OBJECT, **schema, "type": "object"}):
        reason = what_is_wrong(candidate)
        assert reason is None or isinstance(reason, str)
    assert isinstance(misfit(OutputSchema("x", OBJECT), answer), str | None)
