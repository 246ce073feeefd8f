"""The value count: JSON with too many values is not parsed."""

import json

import pytest

from wrapper.errors import InvalidRequest
from wrapper.json_text.value_count import MOST_VALUES, has_too_many_values
from wrapper.routes.json_body import parse
from wrapper.services.tools.arguments import arguments_of


@pytest.mark.parametrize("value", ["1", "[]", "{}", '"a"', "1.5", "null"])
def test_many_values(value):
    """A body may have up to MOST_VALUES values of any kind."""

    def body(count):
        return '{"a": [' + ",".join([value] * count) + "]}"

    made = 2 if value in ("[]", "{}") else 1
    assert parse(body(MOST_VALUES // made - 2).encode())
    with pytest.raises(InvalidRequest, match=str(MOST_VALUES)):
        parse(body(MOST_VALUES).encode())


def test_arguments():
    """The arguments of a past call have the same limit."""
    assert arguments_of('{"a": [' + "1," * 1000 + "1]}")
    with pytest.raises(ValueError, match=str(MOST_VALUES)):
        arguments_of('{"a": [' + "1," * MOST_VALUES + "1]}")


def test_many_names():
    """Names count like values."""
    many = json.dumps({str(n): n for n in range(MOST_VALUES + 1)}).encode()
    assert has_too_many_values(many)


@pytest.mark.parametrize("text", ["hello, world ", '{"a": [1, 2]}, ', "\\", '\\"', '",\\'])
def test_long_texts(text):
    """The length and content of a string do not count."""
    body = json.dumps({"a": text * MOST_VALUES, "b": [text, 1]})
    assert not has_too_many_values(body.encode())
    assert parse(body.encode())["b"] == [text, 1]
