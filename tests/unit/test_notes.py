"""Notes: what becomes of two of them."""

from wrapper.notes import Notes, TimedPart


def test_lists_are_joined():
    """Parameters of both are listed, each once and in their order."""
    joined = Notes(adapted_params=("a", "b")) | Notes(adapted_params=("b", "c"))
    assert joined == Notes(adapted_params=("a", "b", "c"))


def test_later_values_count():
    """A single value that is set replaces the one before; one that is not set does not."""
    first = Notes(model_remapped="old", replayed=True, timing=(TimedPart("queue", 1.0),))
    assert first | Notes() == first
    later = Notes(cost_usd=0.0, timing=(TimedPart("total", 2.0),))
    assert first | later == Notes("old", replayed=True, cost_usd=0.0, timing=later.timing)


def test_nothing_to_say():
    """Notes are false as long as nothing is set; a cost of nothing is a cost."""
    assert not Notes()
    assert Notes(cost_usd=0.0)
