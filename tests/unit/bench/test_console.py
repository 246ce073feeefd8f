"""The measurement of an open console: what it follows, and how it judges."""

from __future__ import annotations

import pytest

from bench.console import LIVE, MOST, Cost, Speed, cost_of
from tests.support.scripted_server import ScriptedServer


def test_medians():
    """It compares within each round, and one bad round does not count."""
    rounds = [(Speed(100, 0.1), Speed(99, 0.101)), (Speed(50, 0.2), Speed(49.5, 0.202))]
    rounds.append((Speed(100, 0.1), Speed(10, 1.0)))
    cost = cost_of(rounds)
    assert cost.rate == pytest.approx(-0.01)
    assert cost.first_token == pytest.approx(0.01)
    assert "-1.0%" in str(cost)


@pytest.mark.parametrize(
    ("cost", "too_much"),
    [
        (Cost(-MOST, MOST), False),
        (Cost(0.5, -0.5), False),
        (Cost(-0.04, 0.0), True),
        (Cost(0.0, 0.04), True),
    ],
)
def test_limit(cost, too_much):
    """Fewer requests and later tokens are too much beyond the limit; more and earlier never."""
    assert cost.too_much is too_much


def test_live_page():
    """The page that it keeps open is a live one of the console."""
    path = LIVE.split()[1].decode()
    server = ScriptedServer()
    with server.app.test_client() as client, client.get(path) as response:
        assert response.mimetype == "text/event-stream"
        assert next(iter(response.response))[:6] == b"data: "
