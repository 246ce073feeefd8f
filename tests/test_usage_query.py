"""GET /v1/usage: what may be asked, and how it is answered."""

from __future__ import annotations

import importlib
from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest
from flask import Flask

from wrapper.errors import InvalidRequest
from wrapper.routes import http
from wrapper.schemas.base import checked
from wrapper.schemas.usage import USAGE_QUERY, UsageQuery
from wrapper.services.principal import Principal
from wrapper.services.usage.amounts import Amounts
from wrapper.services.usage.ledger import Ledger
from wrapper.services.usage.sqlite import SqliteStore

NOW = datetime(2026, 11, 26, tzinfo=UTC)


@pytest.mark.parametrize(
    ("sent", "start", "end"),
    [
        ({"end": "2026-11-26"}, date(2026, 11, 1), date(2026, 11, 26)),
        ({"start": "2026-10-30", "end": "2026-11-26"}, date(2026, 10, 30), date(2026, 11, 26)),
        ({"end": "2026-11-26", "start": "2026-11-26"}, date(2026, 11, 26), date(2026, 11, 26)),
    ],
)
def test_days(sent, start, end):
    """Days are ISO dates, the start by default the first of the end's month."""
    assert checked(USAGE_QUERY, sent) == UsageQuery(start, end)
    assert checked(USAGE_QUERY, {**sent, "key": "bob", "group_by": "day"}).key == "bob"


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
    """What is wrong is a 400 that names it."""
    with pytest.raises(InvalidRequest) as caught:
        checked(USAGE_QUERY, {"end": "2026-11-26", **sent})
    assert (caught.value.status, caught.value.param) == (400, param)


@pytest.fixture
def client(tmp_path, monkeypatch):
    """An app with the one route, called by alice."""
    monkeypatch.setattr(http, "principal", lambda: Principal("alice"), raising=False)
    # Imported anew, so that it takes the caller of this test.
    routes = importlib.reload(importlib.import_module("wrapper.routes.usage"))
    ledger = Ledger(SqliteStore(str(tmp_path / "usage.db")), required=False, now=lambda: NOW)
    ledger.add("alice", "sonnet", Amounts(1, 2))
    app = Flask(__name__)
    app.extensions["wrapper"] = SimpleNamespace(ledger=ledger)
    app.register_blueprint(routes.usage)
    http.install_answers(app)
    yield app.test_client()
    ledger.close()


def test_answer(client):
    """Without a word the month is told until today."""
    body = client.get("/usage").get_json()
    assert (body["start"], body["end"]) == ("2026-11-01", "2026-11-26")
    assert body["total"]["prompt_tokens"] == 2


def test_refusals(client):
    """A wrong date and another's key are told in OpenAI's shape."""
    answer = client.get("/usage?start=soon")
    assert answer.status_code == 400
    assert answer.get_json()["error"] == {
        "message": "start: Not a valid date.",
        "type": "invalid_request_error",
        "param": "start",
        "code": "invalid_type",
    }
    assert client.get("/usage?key=bob").status_code == 403
