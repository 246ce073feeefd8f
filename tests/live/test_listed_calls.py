"""Calls that need approval and end a response are decided at /v1/approvals, on any worker."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from tests.support.approvals import decide, pending
from tests.support.keyed_gateway import KeyedGateway
from tests.support.mcp_servers import packaged, write_config
from tests.support.response_approvals import ADD, FIVE, answer, ask, refusal
from tests.support.server import MODEL

KEYS: dict[str, dict[str, Any]] = {
    "ann": {"admin": True},
    "alice": {"mcp_servers": ["docs"]},
    "bob": {"mcp_servers": ["docs"]},
}
DENIAL = "The user did not approve this call. Too costly."


@pytest.fixture(scope="module")
def _keyed(_servers, redis_server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("listed")
    settings = {
        "MCP_CONFIG": write_config(folder / "mcp.json", docs=packaged()),
        "MCP_TIMEOUT": "60000",
        "POOL_SIZE_OTHER": "0",
        "DEFAULT_MODEL": MODEL,
        "SESSION_STORE": redis_server.url,
        "REDIS_URL": redis_server.url,
    }
    return KeyedGateway(partial(_servers, "-w", "2"), folder, KEYS, **settings)


@pytest.fixture
def keyed(_keyed, upstream):
    """A gateway of two workers with an MCP server, and an upstream without requests."""
    return _keyed


@pytest.fixture
def client(keyed):
    with keyed.client("alice") as client:
        yield client


def test_approved(keyed, client, upstream):
    """The owner sees the call and approves it; the next request runs it, without an answer."""
    first = ask(client, ADD)
    (request,) = first.output
    for _ in range(4):  # on each worker
        (listed,) = pending(keyed)
    assert (listed["id"], listed["response_id"]) == (request.id, first.id)
    assert (listed["tool"], listed["input"]) == ("mcp__docs__add", {"a": 2, "b": 3})
    assert pending(keyed, "ann") == [listed]
    assert pending(keyed, "bob") == []
    assert decide(keyed, listed, "bob")[0] == 404
    assert refusal(client, None, previous_response_id=first.id) == (400, "input")
    assert decide(keyed, listed, scope="session")[0] == 400
    assert decide(keyed, listed)[1]["status"] == "approved"
    assert pending(keyed) == []
    assert decide(keyed, listed, "ann", decision="deny")[0] == 409
    second = ask(client, None, previous_response_id=first.id)
    call, _ = second.output
    assert (call.approval_request_id, call.output, second.output_text) == (request.id, FIVE, FIVE)
    (given,) = client.responses.input_items.list(second.id).data
    assert (given.type, given.approve) == ("mcp_approval_response", True)
    third = ask(client, "go on", previous_response_id=second.id)
    assert [item.type for item in third.output] == ["message"]
    assert len(upstream.requests) == 3


def test_denied(keyed, client):
    """An admin denies the call, and that holds against the request's own answer."""
    first = ask(client, ADD)
    (listed,) = pending(keyed, "ann")
    assert decide(keyed, listed, "ann", decision="deny", reason="Too costly.")[0] == 200
    second = ask(client, [answer(first.output[0])], previous_response_id=first.id)
    assert (second.output_text, len(second.output)) == (DENIAL, 1)


def test_no_longer_listed(keyed, client):
    """What a request answers itself is no longer listed, nor are calls of a deleted response."""
    first, other = ask(client, ADD), ask(client, ADD)
    assert len(pending(keyed)) == 2
    second = ask(client, [answer(first.output[0])], previous_response_id=first.id)
    assert second.output_text == FIVE
    (listed,) = pending(keyed)
    assert listed["response_id"] == other.id
    client.responses.delete(other.id)
    assert pending(keyed) == []
    assert decide(keyed, listed)[0] == 404
    ask(client, ADD, store=False)
    assert pending(keyed) == []
