"""Budgets during a turn: it ends before the model is asked again, and its answer says so."""

import threading

import pytest

from tests.support.turn_harness import WHOLE_AND_STREAMED, TurnHarness
from wrapper.errors import QuotaExceeded
from wrapper.routes.chat import complete
from wrapper.routes.headers import error_headers
from wrapper.services.events import Ended, Ending, Started, TextDelta, Used
from wrapper.services.limits.policy import Policy
from wrapper.services.messages.message import ChatMessage
from wrapper.services.principal import Caller, Principal
from wrapper.services.request import TurnRequest
from wrapper.services.spent import Spent, Usage

MODEL = "claude-sonnet-4-5"
POOR = Principal("local", usd_per_day=0.01)
ROUND = Usage(input=1000)  # $0.003
WAIT_SECONDS = 20.0


def used(rounds, cost=None):
    return Used({MODEL: Spent(Usage(input=1000 * rounds), cost)}, rounds)


def obedient(turn, rounds=100):
    """Play an agent that asks the model again and again, as long as it may."""
    yield Started(MODEL)
    for number in range(1, rounds + 1):
        if number > 1 and not turn.may_go_on():
            usage = Usage(input=1000 * (number - 1))
            yield used(number - 1, 0.003 * (number - 1))
            yield Ended(Ending.BUDGET, usage, 0.003 * (number - 1))
            return
        yield used(number)
        yield TextDelta(f"{number}.")
    yield Ended(Ending.DONE, Usage(input=1000 * rounds), 0.003 * rounds)


def careless(turn):
    """Play an engine that knows nothing of budgets."""
    yield Started(MODEL)
    for number in range(1, 100):
        yield TextDelta(f"{number}.")
        yield used(number)


@pytest.fixture
def harness(tmp_path):
    harnesses = []

    def make(script=obedient, who=POOR, **settings):
        harnesses.append(TurnHarness(script, usage_db=str(tmp_path / "usage.db"), **settings))
        harnesses[-1].caller = Caller(who)
        return harnesses[-1]

    yield make
    for one in harnesses:
        one.gateway.close()


def spent(here, who=POOR):
    ledger = here.gateway.limits.ledger
    body = ledger.report(who, ledger.today(), ledger.today())
    return round(sum(body["total"][name] for name in ("cost_usd", "unpriced_usd")), 6)


@WHOLE_AND_STREAMED
def test_a_turn_ends_once_its_budget_is_spent(harness, stream):
    """What was said until then is answered, with the reason, and no more than a request is over."""
    here = harness()
    told = here.say("a", stream=stream)
    assert (told.text, told.reason) == ("1.2.3.4.", "length")
    if not stream:
        assert told.notes["x-ended-early"] == "insufficient_quota"
    assert spent(here) == 0.012
    with pytest.raises(QuotaExceeded):
        here.say("b", stream=stream)


def test_a_stream_says_why_it_ended(harness):
    """The last chunk of a stream names the reason, and what of the budget is spent."""
    here = harness()
    with here.begin("a", stream=True) as stream:
        *_, last = list(stream)
    assert last["choices"][0]["finish_reason"] == "length"
    assert last["notes"] == {
        "x-ended-early": "insufficient_quota",
        "x-budget-warnings": "usd_per_day=100",
    }


@WHOLE_AND_STREAMED
def test_a_turn_that_ends_by_itself_is_whole(harness, stream):
    """A turn whose last answer spends the budget is not cut."""
    here = harness(lambda turn: obedient(turn, 4))
    told = here.say("a", stream=stream)
    assert (told.text, told.reason) == ("1.2.3.4.", "stop")
    assert "x-ended-early" not in told.notes


@WHOLE_AND_STREAMED
def test_a_session_remembers_it(harness, stream):
    """The session goes on from what was said before its turn was ended."""
    here = harness()
    here.say("a", stream=stream)
    assert here.remembered() == ["a", "1.2.3.4."]
    assert here.free()


@WHOLE_AND_STREAMED
def test_an_engine_that_knows_no_budget(harness, stream):
    """The turn of an engine that asks again all the same is ended with an error."""
    here = harness(careless)
    with pytest.raises(QuotaExceeded) as caught:
        here.say("a", stream=stream)
    assert error_headers(caught.value)["x-should-retry"] == "false"
    assert here.engine.running == 0
    assert spent(here) == 0.015
    assert here.free()


def test_turns_at_once_heed_each_other(harness):
    """Turns of one key that run at once overspend by no more than a request each."""
    together = threading.Barrier(3)

    def script(turn):
        together.wait(WAIT_SECONDS)
        return obedient(turn)

    here = harness(script, max_concurrent_turns=8)
    ask = [
        threading.Thread(target=here.say, args=(str(number),), kwargs={"session_id": None})
        for number in range(3)
    ]
    for one in ask:
        one.start()
    for one in ask:
        one.join(WAIT_SECONDS)
    assert 0.01 <= spent(here) <= 0.01 + 3 * 0.003 + 1e-9


def test_what_others_spend_meanwhile(harness):
    """A turn whose next request was allowed is not ended because another turn spends the rest."""

    def script(turn):
        yield Started(MODEL)
        if turn.session is None:
            yield used(4)
        else:
            yield used(1)
            assert turn.may_go_on()
            other = threading.Thread(target=here.say, args=("b",), kwargs={"session_id": None})
            other.start()
            other.join(WAIT_SECONDS)
            assert not turn.may_go_on()
            yield used(2)
        yield TextDelta("Done.")
        yield Ended(Ending.DONE, Usage(), 0.0)

    here = harness(script, max_concurrent_turns=8)
    assert here.say("a").text == "Done."


def test_requests_at_once(harness):
    """Requests of subagents that were allowed at once do not end the turn when they are reported.

    A further one, which was not allowed, does.
    """
    reported = 0

    def script(turn):
        nonlocal reported
        yield Started(MODEL)
        yield used(1)
        assert turn.may_go_on()
        assert turn.may_go_on()
        for reported in (4, 5, 6):
            yield Used({MODEL: Spent(Usage(input=1000 * reported), None)}, reported - 2)
        yield Ended(Ending.DONE, Usage(), 0.0)

    here = harness(script)
    with pytest.raises(QuotaExceeded):
        here.say("a")
    assert reported == 6


def test_several_answers_share_the_budget(harness):
    """The turns of a request for several answers overspend by no more than a request each."""
    here = harness(max_concurrent_turns=8)
    request = TurnRequest((ChatMessage("user", ("a",)),), n=4)
    body = complete(here.gateway.chat_service, request, here.caller).body
    assert {choice["finish_reason"] for choice in body["choices"]} == {"length"}
    assert 0.01 <= spent(here) <= 0.01 + 4 * 0.003 + 1e-9


def test_without_a_budget_nothing_ends(harness):
    """A key without a budget is never asked for one."""
    here = harness(lambda turn: obedient(turn, 20), who=Principal("local"))
    assert here.say("a").reason == "stop"


@pytest.mark.parametrize(
    ("who", "asked", "rounds"),
    [
        (Principal("a"), None, None),
        (Principal("a", usd_per_day=1), None, 50),
        (Principal("a", usd_per_month=1), None, 50),
        (Principal("a", usd_per_day=1), 80, 80),
        (Principal("a", usd_per_day=1, max_turns=70), None, 70),
        (Principal("a", max_turns=7), None, 7),
    ],
)
def test_rounds_of_a_key_with_a_budget(harness, who, asked, rounds):
    """A key with a budget has BUDGET_MAX_TURNS rounds, where neither it nor the request says."""
    gateway = harness().gateway
    policy = Policy(gateway.settings, gateway.catalog)
    request = TurnRequest((), profile="agent", max_turns=asked)
    assert policy.grant(request, "sonnet", who).permissions.max_turns == rounds
