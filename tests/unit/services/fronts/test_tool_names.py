"""The names under which the model gets a client's tools."""

from wrapper.services.fronts.tool_names import (
    LONGEST_NAME,
    ToolName,
    custom_arguments,
    custom_input,
)


def test_joined():
    """A tool of a namespace has both names; a tool of none keeps its own."""
    assert ToolName("read").joined == "read"
    assert ToolName("read", namespace="files").joined == "files__read"


def test_long_names():
    """A name that is too long is cut and stays unique."""
    names = {ToolName(f"{n}", namespace="x" * 70).joined for n in range(50)}
    assert len(names) == 50
    assert {len(name) for name in names} == {LONGEST_NAME}


def test_custom_input():
    """The input of a custom tool survives the function that stands for it."""
    for text in ("", "a", 'quote " \\ and\nline', "😀"):
        assert custom_input(custom_arguments(text)) == text


def test_other_arguments():
    """Arguments that are no input are shown as the model wrote them."""
    for text in ("", "[1]", '{"other": 1}', "no JSON", "[" * 5000):
        assert custom_input(text) == text
    assert custom_input('{"input": {"a": 1}}') == '{"a": 1}'
    assert custom_input('{"input": "a\nb"}') == "a\nb"
