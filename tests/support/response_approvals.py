"""Requests of the Responses API whose calls need approval, and the answers to them."""

from __future__ import annotations

from typing import Any

import openai
import pytest

CALL = '[[tool mcp__docs__add {"a": 2, "b": 3}]]'
ADD = f"{CALL} [[result]]"
FIVE = '{"result":5}'
DOCS = {"type": "mcp", "server_label": "docs", "require_approval": "always"}


def ask(client: openai.OpenAI, given: Any, **options: Any) -> Any:
    """Return the response to the input *given*; without one, None continues another response."""
    given = {} if given is None else {"input": given}
    return client.responses.create(**{**given, "tools": [DOCS], **options})


def answer(request: Any, approve: bool = True, **fields: Any) -> dict[str, Any]:
    """Return the client's answer to the item that asks for approval."""
    return {
        "type": "mcp_approval_response",
        "approval_request_id": request.id,
        "approve": approve,
        **fields,
    }


def refusal(client: openai.OpenAI, given: Any, **options: Any) -> tuple[int, Any]:
    """Return the status of a request that is refused, and the path that the error names."""
    with pytest.raises(openai.APIStatusError) as caught:
        ask(client, given, **options)
    return caught.value.status_code, caught.value.param
