"""The end of results: an agent's results are followed by a text, so that none is changed."""

import pytest

from wrapper.services.claude.protocol.frames import RESULTS_END, user_input
from wrapper.services.turn import Message, ToolResult

RESULT = ToolResult("c", ("a cat",))


@pytest.mark.parametrize(
    ("parts", "ends"), [((RESULT,), True), ((RESULT, "b"), False), (("b",), False)]
)
def test_end(parts, ends):
    """A text follows a result that nothing else follows."""
    content = user_input(Message("user", parts))["message"]["content"]
    assert (content[-1] == RESULTS_END) == ends
    assert len(content) == len(parts) + ends
