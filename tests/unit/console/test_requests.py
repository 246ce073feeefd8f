"""The page of finished requests: who sees which, filters, pages, and sums that agree with usage."""

from __future__ import annotations

import html
import re
import time
from urllib.parse import urlencode

import pytest

from tests.support.console_client import HOME, ConsoleClient
from tests.support.console_team import console_team
from tests.support.scripted_server import DONE, ScriptedServer
from wrapper.console.pages.requests import MOST
from wrapper.errors import Overloaded
from wrapper.services.events import Started, TextDelta, ToolUsed, Used
from wrapper.services.requests.request import FinishedRequest, RequestQuery
from wrapper.services.spent import Spent, Usage
from wrapper.services.usage.store import Amounts

REQUESTS = f"{HOME}/requests"
ATTACK = "<img src=x onerror=alert(1)>"
SPENT = {"m-large": Spent(Usage(3, 4, 5, 6, 2), 0.001), "m-small": Spent(Usage(1), None)}


def script(turn):
    if "fail" in str(turn.messages[-1]):
        return (Overloaded("All of the pool is busy."),)
    used = Used(SPENT, requests=1)
    return (Started("m-large"), TextDelta("Hi"), ToolUsed("Read", "failed", 0.02), used, DONE)


@pytest.fixture
def team(tmp_path):
    """A gateway with the admin eve, and the callers ann and bob, who have asked for something."""
    with console_team(tmp_path, script=script) as team:
        team.ask("ann", request_id="req-of-ann", session_id="s-1")
        team.ask("bob", request_id="req-of-bob")
        team.ask("bob", "fail", request_id="req-failed")
        yield {**team.people, "ask": team.ask, "gateway": team.gateway}


def text_of(person, **query):
    page = person.open(f"{REQUESTS}?{urlencode(query)}")
    assert page.status_code == 200, page.text
    return page.text


def shown(person, **query):
    """Return the ids of the requests that the page shows."""
    return re.findall(r"<dt>Request</dt><dd[^>]*><a [^>]*>([^<]*)</a>", text_of(person, **query))


def tiles(page):
    """Return the requests, tokens and dollars that a page sums up."""
    pairs = re.findall(r"<div><dt>([A-Z]\w+)</dt><dd>([^<]*)</dd></div>", page)
    values = dict(reversed(pairs))
    return {name: values[name] for name in ("Tokens", "Cost")}


def test_own(team):
    """A caller sees their own requests alone, also by id, by session, and by another's key."""
    assert shown(team["ann"]) == ["req-of-ann"]
    assert shown(team["ann"], id="req-of-bob") == []
    assert shown(team["bob"], id="s-1") == []
    assert team["ann"].open(f"{REQUESTS}?key=bob").status_code == 403
    assert "bob" not in text_of(team["ann"])


def test_admin(team):
    """An admin sees everybody's, the last one first, or those of one key."""
    assert shown(team["eve"]) == ["req-failed", "req-of-bob", "req-of-ann"]
    assert shown(team["eve"], key="ann") == ["req-of-ann"]


def test_filters(team):
    """Requests are found by status, by the code of an error, by a part of the model and by ids."""
    eve = team["eve"]
    assert shown(eve, status="failed") == shown(eve, status="overloaded") == ["req-failed"]
    assert shown(eve, status="done", model="large") == ["req-of-bob", "req-of-ann"]
    assert shown(eve, id="s-1") == shown(eve, id="req-of-ann") == ["req-of-ann"]
    assert "Nothing found" in text_of(eve, model="%")
    assert "Nothing found" in text_of(eve, id="' OR 1=1 --")
    assert '<option value="overloaded" selected>' in text_of(eve, status="overloaded")


def test_details(team):
    """A row opens to times, tools, tokens, cost and error."""
    page = text_of(team["eve"], id="req-of-ann")
    for text in ("First token", ">Read</th>", "20 ms", "$0.0010", "whose price is unknown", "s-1"):
        assert text in page
    failed = text_of(team["eve"], id="req-failed")
    assert "All of the pool is busy." in failed
    assert "overloaded" in failed


def test_sums_agree(team):
    """For a key and a day, tokens and dollars are those of the page about usage."""
    for person, query in (("eve", {}), ("eve", {"key": "bob"}), ("ann", {})):
        days = {"start": "2000-01-01", "end": "2999-01-01", **query}
        usage = team[person].open(f"{HOME}/usage?{urlencode(days)}").text
        page = text_of(team[person], **days)
        assert tiles(page) == tiles(usage)
        assert tiles(page)["Tokens"] != "0"


def test_sums_agree_exactly(team):
    """The amounts of a key's requests are those of its rows in the ledger, to the last one."""
    gateway = team["gateway"]
    gateway.observers.history.flush()
    rows = gateway.limits.ledger._store.read("0000-01-01", "9999-12-31", "bob")
    requests = gateway.observers.history._store.find(
        RequestQuery("0000-01-01", "9999-12-31", "bob"), "", 10
    )
    for name in ("input", "cache_read", "output", "nanos", "unpriced_nanos", "requests"):
        assert sum(getattr(row.amounts, name) for row in rows) == sum(
            getattr(request.amounts, name) for request in requests
        )
    assert sum(request.amounts.nanos for request in requests) == 1_000_000


def test_refusals(team):
    """A request that was refused is there with its code, its message, and the words redacted."""
    assert team["ask"]("bob", request_id="req-odd", model=ATTACK).status_code == 404
    assert team["ask"]("bob", request_id="req-bad", temperature="a secret").status_code == 400
    page = text_of(team["bob"], status="failed")
    assert "model_not_found" in page
    assert "<img" not in page
    assert "a secret" not in page
    assert shown(team["bob"], status="failed") == ["req-bad", "req-odd", "req-failed"]


def test_withheld_errors(team):
    """Where nothing is left of an error's text, the page says why."""
    details = {"error": "<101 characters>"}
    texts = ("req-w", "bob", "", "", "permission_denied", today())
    row = FinishedRequest(*texts, time.time(), Amounts(), details)
    team["gateway"].observers.history._store.append([row], 0)
    page = text_of(team["eve"], id="req-w")
    assert "kept only with LOG_PROMPTS=true" in page
    assert "101 characters" not in page
    assert ">permission denied</span>" in page


def test_strangers(team):
    """Requests without a valid key are not kept, so that nobody can fill the history."""
    client = team["eve"].client.application.test_client()
    assert client.post("/v1/chat/completions", json={}).status_code == 401
    assert len(shown(team["eve"])) == 3


def test_attack(team):
    """HTML in a session, a model, a tool or an error is text."""
    texts = {"model": ATTACK, "session": ATTACK, "outcome": ATTACK}
    details = {"error": ATTACK, "tools": {ATTACK: [1, 0, 0, 1]}, "user": ATTACK}
    row = FinishedRequest(
        *("r", "bob"), day=today(), began=time.time(), amounts=Amounts(), details=details, **texts
    )
    team["gateway"].observers.history._store.append([row], 0)
    page = text_of(team["eve"])
    assert "<img" not in page
    assert page.count(html.escape(ATTACK)) >= 6


def today():
    return time.strftime("%Y-%m-%d", time.gmtime())


def test_pages(team):
    """Older requests are on further pages, whose addresses keep the filter."""
    row = FinishedRequest("r", "bob", "m", "", "done", today(), time.time(), Amounts(), {})
    team["gateway"].observers.history._store.append([row] * (MOST + 1), 0)
    first = text_of(team["eve"], key="bob", status="done")
    (older,) = re.findall(r'<a href="([^"]*)">older</a>', first)
    assert "key=bob" in older
    assert "status=done" in older
    second = team["eve"].open(html.unescape(older)).text
    assert second.count("<summary>") == 2
    assert ">latest</a>" in second
    assert ">older</a>" not in second


@pytest.mark.parametrize(
    "query", ["before=x", "start=x", "before=1-2-3", "before=٣", f"model={'x' * 300}"]
)
def test_wrong_query(team, query):
    """A query that cannot be is an error page."""
    assert team["eve"].open(f"{REQUESTS}?{query}").status_code == 400


@pytest.mark.parametrize("name", ["endpoint", "_method", "_anchor", "_external", "_scheme", "x"])
def test_other_names(team, name):
    """Names that the query does not have change nothing of the page."""
    assert text_of(team["eve"], **{name: "FOO"}) == text_of(team["eve"])


def test_first_step(tmp_path):
    """Where there are none, the page shows how to send the first request."""
    server = ScriptedServer(usage_db=str(tmp_path / "usage.db"))
    assert "send the first one" in ConsoleClient(server.app).open(REQUESTS).text
    server.app.extensions["wrapper"].close()


def test_off(tmp_path):
    """With REQUEST_LOG_DAYS=0 nothing is kept, and the page says how to change that."""
    server = ScriptedServer(usage_db=str(tmp_path / "usage.db"), request_log_days=0)
    assert server.ask().status_code == 200
    assert "REQUEST_LOG_DAYS" in ConsoleClient(server.app).open(REQUESTS).text
    server.app.extensions["wrapper"].close()


@pytest.mark.parametrize("prompts", [False, True])
def test_messages(tmp_path, prompts):
    """What callers wrote is shown only with LOG_PROMPTS."""
    server = ScriptedServer(usage_db=str(tmp_path / "usage.db"), log_prompts=prompts)
    server.ask(messages=[{"role": "user", "content": "my question"}])
    assert ("my question" in ConsoleClient(server.app).open(REQUESTS).text) is prompts
    server.app.extensions["wrapper"].close()
