"""The usage of a turn whose process has had earlier turns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wrapper.services.claude.protocol.stream_parser import StreamParser
from wrapper.services.claude.protocol.usage_counter import UsageCounter
from wrapper.services.events import Started
from wrapper.services.spent import Spent, Usage, sum_usage

NAMES = (
    *("inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens"),
    *("outputTokens", "thinkingTokens"),
)


def result(cost=None, **models):
    """Return a raw result; each model has five counts and a cost."""
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
    """The first turn's usage is all of the process's."""
    assert UsageCounter().used(FIRST).spent == {"opus": spent(10, 20, 30, 40, 5, 0.25)}
    assert UsageCounter().cost(FIRST) == 0.25


def test_a_later_turn():
    """A later turn's usage is the growth of the process's."""
    counter = UsageCounter(FIRST)
    assert counter.used(SECOND).spent == {"opus": spent(1, 2, 3, 4, 1, 0.25)}
    assert counter.cost(SECOND) == 0.25


def test_another_model():
    """A later turn is charged for its own model, and not for the earlier turn's."""
    total = result(0.75, opus=(10, 20, 30, 40, 5, 0.25), haiku=(1, 0, 0, 2, 0, 0.5))
    counter = UsageCounter(FIRST)
    assert counter.used(total).spent == {"haiku": spent(1, 0, 0, 2, 0, 0.5)}
    assert counter.cost(total) == 0.5


def test_the_main_model_comes_first():
    """The main thread's model comes first, for which the request counts."""
    total = result(0.75, haiku=(1, 0, 0, 2, 0, 0.5), opus=(10, 20, 30, 40, 5, 0.25))
    counter = UsageCounter()
    counter.start({"model": "opus", "usage": {"input_tokens": 3}})
    assert [*counter.used(total).spent] == ["opus", "haiku"]


def test_no_rounding_errors():
    """Costs are subtracted without the rounding errors of floats."""
    counter = UsageCounter(result(0.1, opus=(1, 0, 0, 1, 0, 0.1)))
    total = result(0.3, opus=(2, 0, 0, 2, 0, 0.3))
    assert counter.cost(total) == counter.used(total).spent["opus"].cost_usd == 0.2


def test_counts_are_integers():
    """Tokens are integers."""
    (growth,) = UsageCounter(FIRST).used(SECOND).spent.values()
    assert all(isinstance(count, int) for count in vars(growth.usage).values())


@pytest.mark.parametrize("totals", [None, {}, {"modelUsage": {}, "total_cost_usd": None}])
def test_result_without_numbers(totals):
    """If the result has no numbers the stream's count, without a cost."""
    counter = UsageCounter(FIRST)
    counter.start({"model": "opus", "usage": {"input_tokens": 3}})
    counter.stop({"output_tokens": 2})
    assert counter.used(totals).spent == {"opus": Spent(Usage(input=3, output=2))}
    assert counter.cost(totals) is None


def test_result_without_growth():
    """If the result's numbers have not grown the stream's count."""
    counter = UsageCounter(FIRST)
    counter.start({"model": "opus", "usage": {"input_tokens": 3}})
    counter.stop({"output_tokens": 2})
    assert counter.used(FIRST).spent == {"opus": Spent(Usage(input=3, output=2))}


@pytest.mark.parametrize("before", [{}, {"modelUsage": None}, {"modelUsage": {"opus": None}}])
def test_earlier_result_without_numbers(before):
    """If the earlier result has no numbers the turn's usage is all of the result's."""
    assert UsageCounter(before).used(FIRST).spent == UsageCounter().used(FIRST).spent
    assert UsageCounter(before).cost(FIRST) == 0.25


def test_other_fields_are_ignored():
    """Fields of a model that are no counts are no usage."""
    total = result(0.25, opus=(10, 20, 30, 40, 5, 0.25))
    total["modelUsage"]["opus"] |= {"contextWindow": 200000, "webSearchRequests": 1, "name": "x"}
    assert UsageCounter(total).used(SECOND).spent == UsageCounter(FIRST).used(SECOND).spent


def test_the_end_has_this_turns_usage():
    """The usage and cost in a turn's end are the turn's own."""
    parser = StreamParser((), usage=UsageCounter(FIRST), resumed=True)
    start = {"type": "message_start", "message": {"model": "opus", "usage": {}}}
    assert next(parser.read(start)) == Started("opus", resumed=True)
    stop = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}}
    assert list(parser.read(stop))
    ended = parser.end(SECOND)
    assert ended is not None
    assert (ended.usage, ended.cost_usd) == (Usage(1, 2, 3, 4, 1), 0.25)


COUNTS = st.integers(0, 10**6)
MODELS = st.tuples(st.integers(1, 10**6), *[COUNTS] * 4)
TURNS = st.lists(
    st.dictionaries(st.sampled_from(["a", "b", "c"]), MODELS, min_size=1),
    min_size=1,
    max_size=6,
)


@given(TURNS)
def test_turns_add_up(turns):
    """The usages of a process's turns add up to its last report."""
    before, usages = None, [Usage()]
    sums: dict[str, list[int]] = {}
    for turn in turns:
        for model, counts in turn.items():
            known = sums.get(model, [0] * 5)
            sums[model] = [count + more for count, more in zip(known, counts, strict=True)]
        now = result(0.0, **{model: (*counts, 0.0) for model, counts in sums.items()})
        usages += [growth.usage for growth in UsageCounter(before).used(now).spent.values()]
        before = now
    assert sum_usage(usages) == sum_usage(Usage(*counts) for counts in sums.values())


def test_numbers_in_several_steps():
    """A message's counts are totals so far, and each message adds its own."""
    counter = UsageCounter()
    for outputs in ((1, 3), (2,)):
        counter.start({"model": "opus", "usage": {"input_tokens": 10}})
        for output in outputs:
            counter.stop({"output_tokens": output, "output_tokens_details": {"thinking_tokens": 1}})
    assert counter.used().spent == {"opus": Spent(Usage(input=20, output=5, reasoning=2))}
