"""The tally: what a turn has used, where its process had turns before it."""

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from wrapper.services.claude.protocol.stream_parser import StreamParser
from wrapper.services.claude.protocol.usage_counter import UsageCounter
from wrapper.services.events import Spent, Started, Usage, sum_usage

NAMES = (
    *("inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens"),
    *("outputTokens", "thinkingTokens"),
)


def result(cost=None, **models):
    """Return a raw result; each model has its five counts and what it cost."""
    usage = {
        model: dict(zip((*NAMES, "costUSD"), numbers, strict=True))
        for model, numbers in models.items()
    }
    return {"modelUsage": usage, "total_cost_usd": cost}


def spent(*numbers):
    *counts, cost = numbers
    return Spent(Usage(*counts), cost)


FIRST = result(0.25, opus=(10, 20, 30, 40, 5, 0.25))
SECOND = result(0.5, opus=(11, 22, 33, 44, 6, 0.5))


def test_the_first_turn():
    """A process's first turn has used all that the process has."""
    assert UsageCounter().used(FIRST).spent == {"opus": spent(10, 20, 30, 40, 5, 0.25)}
    assert UsageCounter().cost(FIRST) == 0.25


def test_a_later_turn():
    """A later turn has used what the process had not reported before."""
    tally = UsageCounter(FIRST)
    assert tally.used(SECOND).spent == {"opus": spent(1, 2, 3, 4, 1, 0.25)}
    assert tally.cost(SECOND) == 0.25


def test_another_model():
    """A model that only the later turn has used is all its own, and the earlier one is not."""
    told = result(0.75, opus=(10, 20, 30, 40, 5, 0.25), haiku=(1, 0, 0, 2, 0, 0.5))
    tally = UsageCounter(FIRST)
    assert tally.used(told).spent == {"haiku": spent(1, 0, 0, 2, 0, 0.5)}
    assert tally.cost(told) == 0.5


def test_no_dust():
    """Costs are subtracted without the dust that floats leave."""
    tally = UsageCounter(result(0.1, opus=(1, 0, 0, 1, 0, 0.1)))
    told = result(0.3, opus=(2, 0, 0, 2, 0, 0.3))
    assert tally.cost(told) == tally.used(told).spent["opus"].cost_usd == 0.2


def test_counts_stay_whole():
    """Tokens are whole numbers, however they come about."""
    (one,) = UsageCounter(FIRST).used(SECOND).spent.values()
    assert all(isinstance(count, int) for count in vars(one.usage).values())


@pytest.mark.parametrize("told", [None, {}, {"modelUsage": {}, "total_cost_usd": None}])
def test_nothing_told(told):
    """Where the CLI tells nothing, the stream's numbers count, whatever was before, and no cost."""
    tally = UsageCounter(FIRST)
    tally.start({"model": "opus", "usage": {"input_tokens": 3}})
    tally.stop({"output_tokens": 2})
    assert tally.used(told).spent == {"opus": Spent(Usage(input=3, output=2))}
    assert tally.cost(told) is None


def test_nothing_new():
    """Where the CLI tells no more than before, the stream's numbers count."""
    tally = UsageCounter(FIRST)
    tally.start({"model": "opus", "usage": {"input_tokens": 3}})
    tally.stop({"output_tokens": 2})
    assert tally.used(FIRST).spent == {"opus": Spent(Usage(input=3, output=2))}


@pytest.mark.parametrize("before", [{}, {"modelUsage": None}, {"modelUsage": {"opus": None}}])
def test_nothing_told_before(before):
    """Where nothing was told before, all that is told now is the turn's."""
    assert UsageCounter(before).used(FIRST).spent == UsageCounter().used(FIRST).spent
    assert UsageCounter(before).cost(FIRST) == 0.25


def test_other_facts_are_left_out():
    """What the CLI tells of a model beside its counts is no use of it."""
    told = result(0.25, opus=(10, 20, 30, 40, 5, 0.25))
    told["modelUsage"]["opus"] |= {"contextWindow": 200000, "webSearchRequests": 1, "name": "x"}
    assert UsageCounter(told).used(SECOND).spent == UsageCounter(FIRST).used(SECOND).spent


def test_the_end_tells_of_this_turn():
    """The usage and cost of a turn's end are its own, too."""
    reading = StreamParser((), usage=UsageCounter(FIRST), resumed=True)
    start = {"type": "message_start", "message": {"model": "opus", "usage": {}}}
    assert next(reading.read(start)) == Started("opus", resumed=True)
    stop = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}}
    assert list(reading.read(stop))
    ended = reading.end(SECOND)
    assert ended is not None
    assert (ended.usage, ended.cost_usd) == (Usage(1, 2, 3, 4, 1), 0.25)


COUNTS = st.integers(0, 10**6)
MODELS = st.tuples(st.integers(1, 10**6), *[COUNTS] * 4)
TURNS = st.lists(
    st.dictionaries(st.sampled_from(["a", "b", "c"]), MODELS, min_size=1),
    min_size=1,
    max_size=6,
)


@hypothesis_settings(deadline=None)
@given(TURNS)
def test_turns_add_up(turns):
    """What a process's turns have used, together, is what the process has reported in the end."""
    before, all_of_it = None, [Usage()]
    sums: dict[str, list[int]] = {}
    for turn in turns:
        for model, counts in turn.items():
            known = sums.get(model, [0] * 5)
            sums[model] = [one + more for one, more in zip(known, counts, strict=True)]
        now = result(0.0, **{model: (*counts, 0.0) for model, counts in sums.items()})
        all_of_it += [one.usage for one in UsageCounter(before).used(now).spent.values()]
        before = now
    assert sum_usage(all_of_it) == sum_usage(Usage(*counts) for counts in sums.values())


def test_numbers_in_several_steps():
    """What a message tells of its output is all of it so far, and each message adds its own."""
    tally = UsageCounter()
    for told in ((1, 3), (2,)):
        tally.start({"model": "opus", "usage": {"input_tokens": 10}})
        for output in told:
            tally.stop({"output_tokens": output, "output_tokens_details": {"thinking_tokens": 1}})
    assert tally.used().spent == {"opus": Spent(Usage(input=20, output=5, reasoning=2))}
