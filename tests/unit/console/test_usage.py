"""The page of usage: the numbers of /v1/usage, summed, and as CSV."""

import csv
import io
import json
import re
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.support.console_client import HOME, ConsoleClient
from tests.support.console_team import console_team
from tests.support.scripted_server import ScriptedServer
from wrapper.auth import key_editor
from wrapper.console.pages.usage import AMOUNTS, _by_day, _safe, _summed
from wrapper.services.events import LimitsReported
from wrapper.services.provider_limits import Overage, ProviderLimits, Window
from wrapper.services.usage.ledger import Ledger
from wrapper.services.usage.sqlite_store import SqliteUsageStore
from wrapper.services.usage.store import Amounts, Row

USAGE, CSV = f"{HOME}/usage", f"{HOME}/usage/usage.csv"


@pytest.fixture
def team(tmp_path):
    """A gateway in which ann, who has a budget, and bob have spent some, and eve is an admin."""
    with console_team(tmp_path, limits={"ann": {"usd_per_day": 0.002}}) as team:
        for name in ("ann", "bob", "bob"):
            assert team.ask(name).status_code == 200
        yield team.people


def days(page):
    (text,) = re.findall(r"data-days='([^']*)'", page)
    return json.loads(text)


def rows(person, query=""):
    page = person.open(f"{CSV}{query}")
    assert page.mimetype == "text/csv"
    return list(csv.DictReader(io.StringIO(page.text)))


def test_first_step(tmp_path):
    """Where nothing was spent, the page says so."""
    server = ScriptedServer(usage_db=str(tmp_path / "usage.db"))
    assert "Nothing was spent" in ConsoleClient(server.app).open(USAGE).text
    server.app.extensions["wrapper"].close()


def test_admin(team):
    """An admin sees every key's share, and the plots' days add up to the total."""
    page = team["eve"].open(USAGE).text
    for name in ("ann", "bob"):
        assert f">{name}</th>" in page
    assert sum(day["cost_usd"] for day in days(page)) == pytest.approx(0.003)
    assert len(days(page)) == 30


def test_one_key(team):
    """An admin may look at one key alone."""
    page = team["eve"].open(f"{USAGE}?key=bob").text
    assert sum(day["requests"] for day in days(page)) == 2


def test_own(team):
    """Another caller sees their own share and no more, also as CSV."""
    page = team["ann"].open(USAGE).text
    assert sum(day["requests"] for day in days(page)) == 1
    assert "bob" not in page
    assert {row["key"] for row in rows(team["ann"])} == {"ann"}
    for path in (USAGE, CSV):
        assert team["ann"].open(f"{path}?key=bob").status_code == 403


def test_limits(team):
    """Everybody sees how much of the provider's limits is used, and when it said so.

    What it did not say is not there, and a text of its own is no HTML.
    """
    assert "Limits of the gateway" not in team["ann"].open(USAGE).text
    hour = int(time.time()) + 3600
    windows = (
        Window("five_hour", "allowed_warning", 0.834, hour),
        Window("seven_day_opus", "rejected", 1.2, hour),
        Window("<b>fortnight</b>", None, None, None),
    )
    overage = Overage("rejected", None, False, "out_of_credits")
    reported = LimitsReported(ProviderLimits("allowed", hour, windows, overage), "a-login")
    gateway = team["ann"].client.application.extensions["wrapper"]
    gateway.observers.login_limits.learn(reported)
    page = team["ann"].open(USAGE).text
    shown = page.partition('id="limits"')[2].partition("</section>")[0]
    parts = (re.sub("<[^>]*>", " ", part) for part in shown.split("<dt>"))
    before, *tiles = (" ".join(part.split()) for part in parts)
    five_hours, opus, fortnight = (
        next(tile for tile in tiles if tile.startswith(name))
        for name in ("Five hours", "Seven days, Opus", "&lt;b&gt;fortnight")
    )
    assert "requests are taken They cannot be exceeded (out of credits). a-login" in before
    assert "83 % used nearly used up resets 20" in five_hours
    assert "learned 0 s ago" in five_hours
    assert "120 % used requests are refused" in opus
    assert "not known learned" in fortnight
    assert 'value="0.834"' in shown
    assert 'class="over" max="1" value="1"' in shown


def answers(page):
    """Return how many answers the table of times counts by model."""
    table = page.partition('id="times"')[2].partition("</table>")[0]
    return [int(count) for count in re.findall(r'</th><td class="number">(\d+)</td>', table)]


def test_times(team):
    """Times of answers are those of the key that is shown, and drawn by day."""
    assert answers(team["eve"].open(USAGE).text) == [3]
    assert answers(team["eve"].open(f"{USAGE}?key=bob").text) == [2]
    page = team["ann"].open(USAGE).text
    assert answers(page) == [1]
    (today,) = [day for day in days(page) if day["requests"]]
    assert 0 <= today["first_p50"] <= today["first_p95"]
    assert days(page)[0]["first_p50"] is None


def test_no_times(tmp_path):
    """Where no requests are kept, there are no times of answers."""
    server = ScriptedServer(usage_db=str(tmp_path / "usage.db"), request_log_days=0)
    assert server.ask().status_code == 200
    page = ConsoleClient(server.app).open(USAGE).text
    assert "By day" in page
    assert "Times of answers" not in page
    server.app.extensions["wrapper"].close()


def test_budget(team):
    """A caller's budget is a bar."""
    page = team["ann"].open(USAGE).text
    assert '<progress aria-label="Budget: Today" max="0.002" value="0.001">' in page


def test_csv_reconciles(team):
    """The rows of the CSV add up to what the page shows."""
    total = sum(float(row["cost_usd"]) for row in rows(team["eve"]))
    shown = sum(day["cost_usd"] for day in days(team["eve"].open(USAGE).text))
    assert total == pytest.approx(shown)


@pytest.mark.parametrize("query", ["start=x", "start=2026-12-31&end=2026-01-01", "end=9"])
def test_wrong_days(team, query):
    """A wrong day is an error page that names the field."""
    page = team["eve"].open(f"{USAGE}?{query}")
    assert page.status_code == 400
    assert "start" in page.text or "end" in page.text


def test_long_period():
    """Of a very long time, only days with amounts are drawn."""
    row = {"day": "2026-05-05", "key": "a", "model": "m", **dict.fromkeys(AMOUNTS, 1)}
    report = {"start": "0001-01-01", "end": "9999-12-31", "data": [row]}
    assert [day["day"] for day in _by_day(report)] == ["2026-05-05"]


def test_sums():
    """Sums are of every amount, the costliest first."""
    small, large = (
        {"model": name, **dict.fromkeys(AMOUNTS, n)} for name, n in (("a", 1), ("b", 5))
    )
    assert [(row["model"], row["requests"]) for row in _summed([small, large, small], "model")] == [
        ("b", 5),
        ("a", 2),
    ]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx"])
def test_formulas(text):
    """No name becomes a formula in a spreadsheet."""
    assert _safe(text) == f"'{text}"
    assert _safe("claude-sonnet") == "claude-sonnet"
    assert _safe(-1.5) == -1.5


def test_forecast(tmp_path):
    """The page says what the month will cost at this pace, and when a budget will be used up."""
    file = tmp_path / "keys.toml"
    secret = key_editor.add(file, "ann")
    key_editor.limit(file, "ann", {"usd_per_day": 4.0})
    server = ScriptedServer(api_keys_file=str(file), usage_db=str(tmp_path / "usage.db"))
    gateway, noon = server.app.extensions["wrapper"], datetime(2026, 11, 10, 12, tzinfo=UTC)
    gateway.limits.ledger.close()
    store = SqliteUsageStore(str(tmp_path / "usage.db"))
    ledger = Ledger(store, required=False, now=lambda: noon)
    gateway.limits = replace(gateway.limits, ledger=ledger)
    for day in ("2026-11-09", "2026-11-10"):
        gateway.limits.ledger.add(Row(day, "ann", "m", Amounts(1, nanos=3 * 10**9)))
    ann = ConsoleClient(server.app)
    ann.sign_in(secret)
    page = ann.open(USAGE).text
    assert "<dt>Expected this month</dt><dd>$88" in page
    assert "used up at 2026-11-10, 16:00 UTC at this pace" in page
    gateway.close()
