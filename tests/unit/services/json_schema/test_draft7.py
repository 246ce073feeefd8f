"""The schema of an agent's answer is reduced to draft 7, which Claude Code reads."""

import pytest

from tests.support.scripted_server import ScriptedServer, error_of
from wrapper.services.json_schema.draft7 import as_draft_7

INTEGER = {"type": "integer"}
KEPT = [
    {"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": INTEGER}},
    {"type": "object", "properties": {"a": {"$ref": "#"}, "b": True}, "$id": "https://x.test/a"},
    {"if": {"type": "string"}, "then": {"minLength": 1}, "patternProperties": {"^a": INTEGER}},
    {"default": {"x-own": 1}, "examples": [{"prefixItems": []}], "enum": [{"nullable": True}]},
]
STATED = [
    ({"x-own": 1, **INTEGER}, INTEGER, '{"x-own": 1}'),
    (
        {"prefixItems": [INTEGER], "items": False, "type": "array"},
        {"type": "array"},
        '{"prefixItems": [{"type": "integer"}], "items": false}',
    ),
    ({"unevaluatedProperties": False}, {}, '{"unevaluatedProperties": false}'),
    (
        {"properties": {"a": {}}, "patternProperties": {"^a": {}}, "additionalProperties": False},
        {"properties": {"a": {}}},
        '{"patternProperties": {"^a": {}}, "additionalProperties": false}',
    ),
    ({"if": {}, **INTEGER}, INTEGER, '{"if": {}}'),
    ({"$ref": "#a", "$anchor": "a"}, {}, '{"$ref": "#a"}'),
]


@pytest.mark.parametrize("schema", KEPT)
def test_kept(schema):
    """Keywords of draft 7 are unchanged."""
    assert as_draft_7(schema) == (schema, False)


@pytest.mark.parametrize(("schema", "kept", "stated"), STATED)
def test_stated(schema, kept, stated):
    """Keywords unknown to draft 7 are removed, and the description states them."""
    (reduced,), restricts = as_draft_7({"anyOf": [schema]})[0]["anyOf"], as_draft_7(schema)[1]
    assert reduced == {**kept, "description": f"It must also match this JSON Schema: {stated}"}
    assert restricts


@pytest.mark.parametrize("name", ["$schema", "$comment", "$anchor"])
def test_neutral(name):
    """Keywords that do not restrict values are removed without a statement."""
    assert as_draft_7({name: "x", **INTEGER}) == (INTEGER, False)


def test_lost_reference():
    """A reference into a removed keyword is removed too."""
    schema = {"prefixItems": [INTEGER], "contains": {"$ref": "#/prefixItems/0"}}
    stated = 'It must also match this JSON Schema: {"$ref": "#/prefixItems/0"}'
    assert as_draft_7(schema)[0]["contains"] == {"description": stated}


@pytest.mark.parametrize(
    ("profile", "extra", "named"),
    [
        ("agent", {"x-own": 1}, True),
        ("agent", {"$schema": "https://json-schema.org/draft/2020-12/schema"}, False),
        ("plain", {"x-own": 1}, False),
    ],
)
def test_header(profile, extra, named):
    """A header names an agent's schema if it is reduced; STRICT_PARAMS refuses it."""
    schema = {"type": "object", **extra}
    response_format = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    asked = {"response_format": response_format, "claude": {"profile": profile}}
    path = "response_format.json_schema.schema"
    assert ScriptedServer().ask(**asked).headers.get("x-adapted-params") == (
        path if named else None
    )
    if named:
        assert error_of(ScriptedServer(strict_params=True).ask(**asked), 400)["param"] == path
