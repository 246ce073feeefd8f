"""The routes of approvals: what is listed, what a decision may say, and how it is refused."""

import pytest

from tests.support.scripted_server import ScriptedServer
from wrapper.schemas.approvals import LONGEST_REASON, ApprovalListSchema, ApprovalSchema
from wrapper.services.approvals.approval import Asker, ToolRequest

REQUEST = ToolRequest("Bash", {"command": "ls \ud800"})


@pytest.fixture
def server():
    return ScriptedServer()


@pytest.fixture
def begin(server):
    """Return a function that lets a tool wait, and returns its id."""
    approvals = server.app.extensions["wrapper"].stores.approvals

    def begin(owner="local", session_id=None):
        return approvals.begin(Asker(owner, "req_1", session_id), REQUEST, lambda _: None).id

    return begin


def decide(server, id_, **decision):
    return server.post(decision, path=f"/v1/approvals/{id_}")


def test_what_is_listed(server, begin):
    """The list has what waits, in the form of the schema."""
    assert server.client.get("/v1/approvals").json == {"object": "list", "data": []}
    id_ = begin(session_id="s")
    body = server.client.get("/v1/approvals").json
    assert ApprovalListSchema().validate(body) == {}
    assert [(each["id"], each["session_rule"]) for each in body["data"]] == [(id_, "Bash(ls ?)")]
    one = server.client.get(f"/v1/approvals/{id_}").json
    assert ApprovalSchema().validate(one) == {}
    assert one == body["data"][0]


def test_decisions(server, begin):
    """A decision answers with the approval, and holds."""
    response = decide(server, begin(session_id="s"), decision="approve", scope="session")
    assert (response.status_code, response.json["status"]) == (200, "approved")
    assert (response.json["scope"], response.json["decided_by"]) == ("session", "local")
    id_ = begin()
    response = decide(server, id_, decision="deny", reason="No.")
    assert (response.json["status"], response.json["reason"]) == ("denied", "No.")
    again = decide(server, id_, decision="approve")
    assert (again.status_code, again.json["error"]["code"]) == (409, "approval_decided")


@pytest.mark.parametrize(
    ("decision", "param"),
    [
        ({}, "decision"),
        ({"decision": "yes"}, "decision"),
        ({"decision": None}, "decision"),
        ({"decision": "approve", "scope": "ever"}, "scope"),
        ({"decision": "deny", "scope": "session"}, "scope"),
        ({"decision": "approve", "scope": "session"}, "scope"),
        ({"decision": "approve", "reason": "x"}, "reason"),
        ({"decision": "deny", "reason": "x" * (LONGEST_REASON + 1)}, "reason"),
        ({"decision": "deny", "why": "x"}, "why"),
    ],
)
def test_invalid_decisions(server, begin, decision, param):
    """A decision that makes no sense is a 400 that names the field, and nothing is decided."""
    id_ = begin()
    response = decide(server, id_, **decision)
    assert (response.status_code, response.json["error"]["param"]) == (400, param)
    assert server.client.get(f"/v1/approvals/{id_}").json["status"] == "pending"


def test_unknown_ids(server):
    """An approval that does not exist is a 404."""
    for response in (
        server.client.get("/v1/approvals/apr_none"),
        decide(server, "apr_none", decision="approve"),
    ):
        assert (response.status_code, response.json["error"]["code"]) == (404, "approval_not_found")
