"""Precision: every digit of a JSON value passes through JavaScript to the model."""

import json
import math
import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.exact_numbers import same_digits
from wrapper.json_text.precision import (
    changes_number,
    exact_object,
    is_exact,
    is_read_as,
    is_text_of,
    read_number,
    reorders,
    write_exact,
)
from wrapper.services.json_schema.exact import keep_exact
from wrapper.services.json_schema.subschemas import map_schemas

CHANGED = [
    *("1234567890123456789", "-9007199254740993", "1152921504606846976", "1" * 500),
    *("1000000000000000000000", "0.12345678901234567890", "12345678.123456789123"),
    *("1e400", "-1e400", "1e-400", "4.9e-324", "-0", "-0.0", "-0e5", "0.1000000000000000000001"),
]
KEPT = [
    *("0", "0.0", "1", "-1", "9007199254740991", "9007199254740994", "100000000000000000000"),
    *("0.1", "19.90", "1.0", "1e5", "1E+21", "1e300", "5e-324", "0.30000000000000004", "0e5"),
]


@pytest.mark.parametrize("digits", CHANGED)
def test_changed(digits):
    """A number that a double cannot hold becomes a string with all its digits."""
    assert changes_number(digits)
    held, changed = exact_object(f'{{"a": [{digits}]}}')
    assert (held, changed) == ({"a": [digits]}, True)


@pytest.mark.parametrize("digits", KEPT)
def test_kept(digits):
    """A number that a double can hold stays a number."""
    assert not changes_number(digits)
    held, changed = exact_object(f'{{"a": {digits}, "b": "1234567890123456789"}}')
    assert (held["a"], changed) == (json.loads(digits), False)


@pytest.mark.parametrize(
    ("keys", "moved"),
    [
        (["a", "b"], False),
        (["9", "10", "a"], False),
        (["10", "9"], True),
        (["a", "0"], True),
        (["a", "01"], False),
        (["a", "-1"], False),
        (["a", "4294967294"], True),
        (["a", "4294967295"], False),
        (["a", "٣"], False),
        ([], False),
    ],
)
def test_order(keys, moved):
    """The order of keys is listed only if JavaScript would change it."""
    assert reorders(keys) is moved
    held, changed = exact_object(json.dumps({"in": dict.fromkeys(keys, 1)}))
    assert changed is moved
    assert held["in"].pop("keys in order", keys) == keys


def test_an_own_property_is_kept():
    """The property that lists the keys does not replace one of the caller's."""
    held, _ = exact_object('{"10": 1, "9": 2, "keys in order": 3}')
    assert held["keys in order"] == 3
    assert held["keys in order_"] == ["10", "9", "keys in order"]


@pytest.mark.parametrize("text", ["1234567890123456789 apples", "", "{", "[" * 100_000])
def test_not_json(text):
    """A text that is not JSON counts as exact."""
    assert is_exact(text)


def _object(held):
    return f"{{{', '.join(f'{json.dumps(key)}: {value}' for key, value in held.items())}}}"


numbers = (
    st.integers().map(str)
    | st.integers(-(10**30), 10**30).map(str)
    | st.decimals(allow_nan=False, allow_infinity=False).map(str)
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | st.sampled_from(CHANGED + KEPT)
)
keys = st.sampled_from(["10", "9", "0", "a", "01", "4294967295"]) | st.text(max_size=3)
# JSON texts, because Python values cannot hold their numbers.
texts = st.recursive(
    numbers | st.sampled_from(["true", "null", '"1e999"', '"12345678901234567890"']),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda held: f"[{', '.join(held)}]")
        | st.dictionaries(keys, inner, max_size=4).map(_object)
    ),
    max_leaves=12,
)


def through_javascript(value):
    """Return *value* as JavaScript reads and writes it."""
    match value:
        case dict():
            indexes = sorted((k for k in value if reorders(["a", k])), key=int)
            order = [*indexes, *(key for key in value if key not in indexes)]
            return {key: through_javascript(value[key]) for key in order}
        case list():
            return [*map(through_javascript, value)]
        case bool() | str() | None:
            return value
    number = float(value)
    if math.isinf(number):
        return None
    shortest = Decimal(repr(number))  # JavaScript pads it with zeros
    return int(shortest) if number.is_integer() and abs(number) < 1e21 else number


@given(st.dictionaries(keys, texts, max_size=4).map(_object))
def test_every_digit_arrives(text):
    """The digits, signs and order of any arguments pass through JavaScript."""
    held, _ = exact_object(text)
    arrived = through_javascript(json.loads(json.dumps(held)))
    written = json.loads(
        text, parse_int=lambda digits: (digits,), parse_float=lambda digits: (digits,)
    )
    assert same_digits(written, arrived)


def parse(text):
    return json.loads(text, parse_float=read_number)


@given(st.dictionaries(st.sampled_from(["const", "enum", "minimum", "x-y"]), texts, max_size=3))
def test_no_number_in_a_schema_changes(keywords):
    """A schema keeps no number that JavaScript changes; the description has its digits."""
    try:
        schema = parse(_object({"properties": _object({"a": _object(keywords)})}))
    except ValueError:
        return  # a number that the gateway refuses
    exact_schema = keep_exact(schema)
    inside = exact_schema["properties"]["a"]
    for name, value in schema["properties"]["a"].items():
        if name in inside:
            assert repr(inside[name]) == repr(value)
            assert is_exact(write_exact(value))
        else:
            assert f'"{name}": {write_exact(value)}' in inside["description"]


def test_a_schema_states_its_numbers():
    """A keyword that would change moves into the description, with all digits."""
    big = {"type": "integer", "const": 1234567890123456789, "description": "The id."}
    exact_schema = keep_exact({"properties": {"id": big}, "$defs": {"x": {"maximum": 5}}})
    assert exact_schema == {
        "properties": {
            "id": {
                "type": "integer",
                "description": "The id.\n\nIt must also match this JSON Schema: "
                '{"const": 1234567890123456789}',
            }
        },
        "$defs": {"x": {"maximum": 5}},
    }


def test_a_schema_states_its_order():
    """The description lists properties that JavaScript would reorder."""
    exact_schema = keep_exact({"properties": {"10": {}, "9": {}}})
    assert exact_schema["description"] == 'Write its properties in this order: ["10", "9"]'


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"multipleOf": 0.1, "maximum": 1e300, "const": 2**53}}},
        {"properties": {"a": {"const": "1234567890123456789", "pattern": "[0-9]{16}"}}},
        {"properties": {"1": {}, "2": {}}},
    ],
)
def test_a_schema_that_stays(schema):
    """A schema that JavaScript does not change stays the same."""
    assert keep_exact(schema) is schema


def test_data_in_schemas():
    """Only subschemas are changed, and not the values of an enum or a default."""
    schema = {"default": {"properties": {}}, "items": [{"type": "x"}, True], "not": {"a": 1}}
    exact_schema = map_schemas(schema, lambda subschema: {**subschema, "seen": True})
    assert exact_schema == {
        "default": {"properties": {}},
        "items": [{"type": "x", "seen": True}, True],
        "not": {"a": 1, "seen": True},
        "seen": True,
    }


@pytest.mark.parametrize(
    ("digits", "number"),
    [
        ("0.5", 0.5),
        ("-0.0", -0.0),
        ("19.90", 19.9),
        ("0.30000000000000004", 0.30000000000000004),
        ("0.12345678901234567890", Decimal("0.12345678901234567890")),
        ("4.9e-324", Decimal("4.9e-324")),
    ],
)
def test_numbers_of_a_body(digits, number):
    """A number in a body is a float if that holds its digits, and a Decimal otherwise."""
    assert repr(read_number(digits)) == repr(number)


@pytest.mark.parametrize("digits", ["1e400", "1e-400", "1e-99999999999999999999"])
def test_numbers_out_of_range(digits):
    """A number outside the range of floats is refused and named."""
    with pytest.raises(ValueError, match=digits[:20]):
        read_number(digits)


def test_decimals_are_written_as_numbers():
    """write_exact writes JSON with all digits of its numbers."""
    value = {"a": [Decimal("0.12345678901234567890"), 1.5, True, None], 'b"': "ü\0"}
    text = write_exact(value)
    assert text.startswith('{"a": [0.12345678901234567890, 1.5, true, null], ')
    assert json.loads(text, parse_float=Decimal)['b"'] == "ü\0"


def test_deep_decimals_are_written_quickly():
    """write_exact copies a long text no more often the deeper it is nested."""
    value = ["x" * 30_000_000, Decimal("0.12345678901234567890")]
    for _ in range(450):
        value = [value]
    began = time.process_time()
    text = write_exact(value)
    assert time.process_time() - began < 1.5
    assert text.endswith(", 0.12345678901234567890" + "]" * 451)


@pytest.mark.parametrize(
    ("written", "read", "same"),
    [
        ({"a": 1234567890123456789}, {"a": 1234567890123456800}, True),
        ({"a": [0.12345678901234567890]}, {"a": [0.12345678901234568]}, True),
        ({"a": -0.0, "b": 1e999, "c": 10**400}, {"a": 0, "b": None, "c": None}, True),
        ({"10": 1, "9": True}, {"9": True, "10": 1}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": True}, {"a": 1}, False),
        ({"a": 1}, {"a": "1"}, False),
        ({"a": 1}, {"a": 2}, False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": [1]}, {"a": [1, 2]}, False),
        ({"a": "x"}, {"a": "x"}, True),
        ({"a": None}, {"a": None}, True),
    ],
)
def test_what_javascript_reads(written, read, same):
    """An answer that JavaScript has read is recognized by its value."""
    assert is_read_as(written, read) is same
    assert is_text_of(json.dumps(written), read) is same


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000])
def test_invalid_texts(text):
    """A text that is not JSON matches no answer."""
    assert not is_text_of(text, {})
