"""GET /v1/usage: its query and its report."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest
from flask import Flask
from openapi_schema_validator import OAS31Validator

from wrapper import Gateway
from wrapper.errors import InvalidRequest
from wrapper.schemas.base import load_data
from wrapper.schemas.usage import USAGE_QUERY, UsageQuery
from wrapper.services.principal import Principal
from wrapper.settings import Settings
from wrapper.testing.engine import ScriptedEngine


@pytest.mark.parametrize(
    ("sent", "start", "end"),
    [
        ({"end": "2026-11-26"}, date(2026, 11, 1), date(2026, 11, 26)),
        ({"start": "2026-10-30", "end": "2026-11-26"}, date(2026, 10, 30), date(2026, 11, 26)),
        ({"end": "2026-11-26", "start": "2026-11-26"}, date(2026, 11, 26), date(2026, 11, 26)),
    ],
)
def test_days(sent, start, end):
    """Days are ISO dates; the start defaults to the first of the end's month."""
    assert load_data(USAGE_QUERY, sent) == UsageQuery(start, end)
    assert load_data(USAGE_QUERY, {**sent, "key": "bob", "group_by": "day"}).key == "bob"


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ({"start": "yesterday"}, "start"),
        ({"start": ""}, "start"),
        ({"end": "2026-02-30"}, "end"),
        ({"end": "1793664000"}, "end"),
        ({"start": "2026-11-27"}, "start"),
        ({"key": ""}, "key"),
    ],
)
def test_what_is_no_query(sent, param):
    """An invalid query is a 400 that names the parameter."""
    with pytest.raises(InvalidRequest) as caught:
        load_data(USAGE_QUERY, {"end": "2026-11-26", **sent})
    assert (caught.value.status, caught.value.param) == (400, param)


@pytest.fixture
def client(tmp_path):
    """An app with one caller, who has run one turn."""
    app = Flask(__name__)
    callers = {"alice": Principal("alice", usd_per_day=5)}
    gateway = Gateway(
        Settings(usage_db=str(tmp_path / "usage.db")),
        engine=ScriptedEngine(),
        authenticate=lambda request: callers.get(request.headers.get("x-api-key")),
    )
    gateway.init_app(app)
    client = app.test_client()
    client.environ_base["HTTP_X_API_KEY"] = "alice"
    request = {"messages": [{"role": "user", "content": "Hi"}]}
    assert client.post("/v1/chat/completions", json=request).status_code == 200
    yield client
    gateway.close()


def test_answer(client):
    """Without a query the report covers this month, and matches the OpenAPI document."""
    body = json.loads(client.get("/v1/usage").data)
    today = datetime.now(UTC).date()
    assert (body["start"], body["end"]) == (str(today.replace(day=1)), str(today))
    (line,) = [line for line in body["data"] if line["day"] == str(today)]
    assert (line["key"], line["model"], line["prompt_tokens"]) == ("alice", "scripted-model", 3)
    assert body["budgets"]["usd_per_day"]["limit_usd"] == 5
    document = json.loads(client.get("/v1/openapi.json").data)
    content = document["paths"]["/v1/usage"]["get"]["responses"]["200"]["content"][
        "application/json"
    ]
    OAS31Validator({**content["schema"], "components": document["components"]}).validate(body)
    schemas = document["components"]["schemas"]
    for schema, content in (
        ("UsageReport", body),
        ("UsageLine", line),
        ("UsageAmounts", body["total"]),
    ):
        assert set(schemas[schema]["properties"]) == set(content)


def test_refusals(client):
    """An invalid date and another's key are refused in OpenAI's shape."""
    answer = client.get("/v1/usage?start=soon")
    assert answer.status_code == 400
    assert answer.get_json()["error"] == {
        "message": "start: Not a valid date.",
        "type": "invalid_request_error",
        "param": "start",
        "code": "invalid_type",
    }
    assert client.get("/v1/usage?key=bob").status_code == 403
