"""A text follows an agent's tool results, so that Claude Code changes none."""

import pytest

from wrapper.services.claude.protocol.frames import RESULTS_END, user_input
from wrapper.services.turn import Message, ToolResult

RESULT = ToolResult("c", ("a cat",))


@pytest.mark.parametrize(
    ("parts", "ends"), [((RESULT,), True), ((RESULT, "b"), False), (("b",), False)]
)
def test_end(parts, ends):
    """A text follows a result that is the last part."""
    content = user_input(Message("user", parts))["message"]["content"]
    assert (content[-1] == RESULTS_END) == ends
    assert len(content) == len(parts) + ends
