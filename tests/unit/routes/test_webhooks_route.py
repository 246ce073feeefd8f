"""GET /v1/webhooks: its form, its pages, and what announces events."""

from __future__ import annotations

import pytest

from tests.support.scripted_server import ScriptedServer
from tests.support.server import eventually
from tests.support.webhooks import SECRET, Receiver
from wrapper.schemas.webhooks import DeliveryListSchema
from wrapper.services.approvals.approval import Asker, ToolRequest


@pytest.fixture
def receiver():
    opened = Receiver()
    yield opened
    opened.close()


@pytest.fixture
def server(tmp_path, receiver):
    server = ScriptedServer(
        usage_db=str(tmp_path / "usage.db"),
        webhook_url=receiver.url,
        webhook_secret=SECRET,
        webhook_private_hosts=("127.0.0.1",),
    )
    yield server
    server.app.extensions["wrapper"].close()


def test_approvals_are_announced(server, receiver):
    """A tool that waits is announced, and the deliveries are listed by pages."""
    assert server.client.get("/v1/webhooks").json == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }
    gateway = server.app.extensions["wrapper"]
    request = ToolRequest("Bash", {"command": "rm secret"})
    approvals = [
        gateway.stores.approvals.begin(Asker("local", f"req_{n}"), request, lambda _: None)
        for n in range(2)
    ]
    assert eventually(lambda: len(receiver.accepted()) == 2)
    events = receiver.accepted()
    assert {event["data"]["id"] for event in events} == {each.id for each in approvals}
    assert {event["data"]["kind"] for event in events} == {"tool"}
    assert "secret" not in str(events)

    page = server.client.get("/v1/webhooks?limit=1").json
    assert DeliveryListSchema().validate(page) == {}
    assert page["has_more"]
    rest = server.client.get(f"/v1/webhooks?after={page['last_id']}").json
    assert not rest["has_more"]
    ids = [each["id"] for each in (*page["data"], *rest["data"])]
    assert sorted(ids) == sorted(event["id"] for event in events)
    assert server.client.get("/health").json["webhooks"]["status"] == "ok"


@pytest.mark.parametrize(
    ("query", "param"), [("limit=0", "limit"), ("limit=101", "limit"), ("after=evt_1", "after")]
)
def test_wrong_queries(server, query, param):
    """A query that names no page is a 400 that names the parameter."""
    response = server.client.get(f"/v1/webhooks?{query}")
    assert response.status_code == 400
    assert response.json["error"]["param"] == param
