"""A run: what becomes of the errors of its turns."""

import logging
import threading
from contextlib import ExitStack, suppress

import pytest

from tests.support.turn_harness import TurnHarness
from wrapper.errors import ClientGone, Overloaded
from wrapper.routes.headers import note_headers
from wrapper.services.events import Ended, Ending, Noted, Started, ToolUsed, Usage, Used
from wrapper.services.principal import Caller, Principal
from wrapper.services.spent import Spent
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


MODEL = "claude-sonnet-4-5"
USAGE = Usage(input=3000, output=5)
COST = 0.009
ENDS = (Started(MODEL), Used({MODEL: Spent(USAGE, COST)}, 1), Ended(Ending.DONE, USAGE, COST))


@pytest.fixture
def logged(tmp_path, caplog):
    """Leave at a turn's event of some kind, or while it reads on, and return what is logged."""
    with ExitStack() as gateways, caplog.at_level(logging.INFO):

        def logged(steps, at, *, usd=100.0, reads_on=False):
            here = TurnHarness(usage_db=str(tmp_path / "usage.db"))
            gateways.callback(here.gateway.close)
            left = threading.Event()
            here.plays(*steps)
            caller = Caller(Principal("local", usd_per_day=usd), gone=left.is_set)
            run = here.gateway.chat_service.open(here.request("a", session_id=None), caller)
            with suppress(ClientGone), run:
                for item in run:
                    if item and isinstance(item[1], at):
                        left.set()
                        if not reads_on:
                            break
            (record,) = [each for each in caplog.records if each.getMessage() == "request"]
            return record.facts

        yield logged


def test_usage_of_an_end_that_nobody_waits_for(logged, monkeypatch):
    """The log has the tokens of an answer whose client leaves just as it ends."""
    monkeypatch.setattr("wrapper.services.background.watchdog.CHECK_SECONDS", 0.0)
    facts = logged(ENDS, Used, reads_on=True)
    assert (facts["outcome"], facts["prompt_tokens"]) == ("client_gone", 3000)


def test_usage_of_an_end_after_a_warning(logged):
    """The log has the tokens of an answer whose client leaves at the warning before its end."""
    facts = logged(ENDS, Noted, usd=0.01)
    assert (facts["outcome"], facts["prompt_tokens"]) == ("client_gone", 3000)


def test_the_log_says_what_ended_a_turn_early(logged):
    """The log names the budget that ended the turn, as the client's headers do."""
    ends = (Started(MODEL), Used({MODEL: Spent(USAGE, COST)}, 1), Ended(Ending.BUDGET, USAGE, COST))
    assert logged(ends, ToolUsed)["ended_early"] == "insufficient_quota"
