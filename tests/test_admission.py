"""Admission: how many turns may run at once."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from wrapper.errors import InvalidRequest, RateLimited
from wrapper.services.admission import Admission
from wrapper.services.principal import Principal


def free_places(admission, places):
    """Return how many places are free, by taking them one by one and giving them back."""
    taken = []
    try:
        for _ in range(places + 1):
            taken.append(admission.admit(1))
    except RateLimited:
        pass
    for release in taken:
        release()
    return len(taken)


def test_places():
    """As many turns are admitted as there are places, and no more."""
    admission = Admission(3)
    admission.admit(2)
    admission.admit(1)
    with pytest.raises(RateLimited) as caught:
        admission.admit(1)
    assert caught.value.headers() == {"Retry-After": "1"}


def test_all_or_none():
    """A request that needs more places than are free takes none of them."""
    admission = Admission(3)
    admission.admit(1)
    with pytest.raises(RateLimited, match="for 3"):
        admission.admit(3)
    assert free_places(admission, 3) == 2


def test_more_than_all():
    """A request for more places than there are is not to be tried again, and says what to do."""
    admission = Admission(2)
    for _ in range(2):
        with pytest.raises(InvalidRequest, match=r"no more than 2 .*; ask for fewer") as caught:
            admission.admit(3)
        assert caught.value.param == "n"
        admission.admit(1)


def test_release():
    """Places that are given back can be taken again."""
    admission = Admission(1)
    release = admission.admit(1)
    release()
    assert free_places(admission, 1) == 1


def test_releasing_twice():
    """Giving the same places back twice makes no new ones."""
    admission = Admission(2)
    release = admission.admit(2)
    release()
    release()
    assert free_places(admission, 2) == 2


def test_each_caller_has_its_own():
    """A caller's turns at once are counted apart, and take nothing from another's."""
    alice, bob = (Principal(name, concurrent_turns=2) for name in ("alice", "bob"))
    admission = Admission(5)
    release = admission.admit(2, alice)
    with pytest.raises(RateLimited, match=r"'alice' may run at once \(concurrent_turns\)"):
        admission.admit(1, alice)
    admission.admit(2, bob)
    assert free_places(admission, 5) == 1
    release()
    admission.admit(2, alice)


@hypothesis_settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), st.booleans()), max_size=20))
def test_never_too_many(requests):
    """In whatever order turns come and go, places are neither lost nor made."""
    admission = Admission(5)
    running: list[tuple[int, Callable[[], None]]] = []
    for turns, one_ends in requests:
        if one_ends and running:
            running.pop(0)[1]()
        taken = sum(turns for turns, _ in running)
        assert free_places(admission, 5) == 5 - taken
        if taken + turns <= 5:
            running.append((turns, admission.admit(turns)))
        else:
            with pytest.raises(RateLimited):
                admission.admit(turns)
