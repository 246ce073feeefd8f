"""What waits for the callers of a gateway, and their decisions."""

from __future__ import annotations

from typing import Any

from tests.support.keyed_gateway import KeyedGateway
from tests.support.server import eventually


def pending(keyed: KeyedGateway, name: str = "alice") -> Any:
    """Return the approvals that the key of this name sees."""
    status, _, body = keyed.call(name, "GET", "/v1/approvals")
    assert status == 200, body
    return body["data"]


def wait_for(keyed: KeyedGateway, count: int = 1, name: str = "alice") -> Any:
    """Return the approvals of a key, once there are so many."""
    assert eventually(lambda: len(pending(keyed, name)) == count), pending(keyed, name)
    return pending(keyed, name)


def decide(keyed: KeyedGateway, approval: Any, name: str = "alice", **body: Any) -> tuple[int, Any]:
    """Decide an approval, by default to approve it, and return the status and the body."""
    default = {} if "answers" in body else {"decision": "approve"}
    path = f"/v1/approvals/{approval['id']}"
    status, _, answer = keyed.call(name, "POST", path, {**default, **body})
    return status, answer


def text_of(asked: Any) -> Any:
    """Return the text of the answer to a request that was asked in the background."""
    status, body = asked.result()
    assert status == 200, body
    return body["choices"][0]["message"]["content"]
