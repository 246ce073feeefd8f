"""A run: what becomes of the errors of its turns."""

from contextlib import ExitStack

import pytest

from tests.support.turn_harness import TurnHarness
from wrapper.errors import Overloaded
from wrapper.routes.headers import note_headers
from wrapper.services.events import Started, ToolUsed
from wrapper.services.turns.run import Run


@pytest.fixture
def open_run(tmp_path):
    """Open the run of a request whose turn plays some steps, and then fails."""
    with ExitStack() as gateways:

        def open_run(*steps) -> Run:
            here = TurnHarness(usage_db=str(tmp_path / "usage.db"))
            gateways.callback(here.gateway.close)
            here.plays(*steps, Overloaded("Busy.", retry_after=2))
            return here.gateway.chat_service.open(here.request("a", session_id=None), here.caller)

        yield open_run


@pytest.mark.parametrize(
    ("steps", "retry"),
    [((), None), ((Started("m"),), False), ((ToolUsed("mcp__a__b", "done", 1.0),), False)],
)
def test_retries_of_failed_turns(open_run, steps, retry):
    """Once the model or an approved call has begun, no library may send the request again."""
    with pytest.raises(Overloaded) as caught, open_run(*steps) as run:
        list(run)
    assert (caught.value.retry, caught.value.retry_after) == (retry, 2)
    assert caught.value.recorded


def test_failed_runs_are_timed(open_run):
    """An error has, in its notes, what the request took until then."""
    with pytest.raises(Overloaded) as caught, open_run() as run:
        list(run)
    assert "total;dur=" in note_headers(caught.value.notes)["server-timing"]
