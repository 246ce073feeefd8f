"""Which schemas are too costly to check."""

import time

import pytest

from wrapper.services.json_schema.cost import MOST, is_too_costly


def doubling(levels):
    definitions = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#/$defs/d0", "$defs": definitions | {f"d{levels}": {"type": "object"}}}


LIST = {"properties": {"next": {"$ref": "#"}}}
LOOP = {"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}] * 2}}}
TREE = {"$ref": "#/$defs/t", "$defs": {"t": {"items": {"anyOf": [{"$ref": "#/$defs/t"}, True]}}}}
ELSEWHERE = {"allOf": [{"$ref": "#name"}, {"$ref": "#/$defs/no"}, {"$ref": "x.json"}]}


@pytest.mark.parametrize("schema", [True, {}, LIST, LOOP, TREE, ELSEWHERE, doubling(12)])
def test_harmless(schema):
    """Recursive and unresolved references are not too costly."""
    assert not is_too_costly(schema)


def test_wide():
    """A wide schema costs only the sum of its parts."""
    assert not is_too_costly({"anyOf": [{"const": n} for n in range(MOST // 2)]})


@pytest.mark.parametrize("levels", [16, 34, 300])
def test_costly(levels):
    """A schema that doubles with each reference is too costly."""
    assert is_too_costly(doubling(levels))
    assert is_too_costly({"properties": {"x": {"items": doubling(levels)}}, **doubling(levels)})


def by_name(levels, reference="$ref", anchor="$anchor", **more):
    definitions = {
        f"d{n}": {anchor: f"d{n}", "allOf": [{reference: f"#d{n + 1}"}] * 2} for n in range(levels)
    }
    last = {f"d{levels}": {anchor: f"d{levels}", "type": "object"}}
    return {reference: "#d0", "$defs": definitions | last, **more}


@pytest.mark.parametrize(
    "names", [{}, {"reference": "$dynamicRef"}, {"anchor": "$dynamicAnchor"}, {"$id": "x.json"}]
)
def test_anchors(names):
    """References to anchors count as those to definitions do."""
    assert is_too_costly(by_name(31, **names))
    assert not is_too_costly(by_name(12, **names))


def test_inner_roots():
    """A reference may begin at an inner root, that of a schema with an id."""
    assert is_too_costly({"properties": {"a": {"$id": "x.json", **doubling(31)}}})


def test_escaped_references():
    """Escapes in references are decoded."""
    schema = doubling(20)
    schema["$defs"]["a/b ~"] = schema["$defs"].pop("d0")
    assert is_too_costly({**schema, "$ref": "#/$defs/a~1b%20~0"})


@pytest.mark.parametrize("target", ["#/$defs/d0", "#/$defs/d{}"])
def test_many_roots(target):
    """The time for many inner roots with a reference each hardly grows with their square."""
    number = 480
    definitions = {f"d{n}": {"$id": f"x{n}.json"} for n in range(number)}
    properties = {f"p{n}": {"$id": f"y{n}", "$ref": target.format(n)} for n in range(number)}
    began = time.process_time()
    assert not is_too_costly({"properties": properties, "$defs": definitions})
    assert time.process_time() - began < 0.25
