"""An answer ends before its first stop sequence, however it is split."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wrapper.services.claude.protocol.stop_sequences import StopCutter

# Two letters, so that stop sequences occur and overlap.
PIECES = st.lists(st.text("ab", max_size=4), max_size=8)
STOP = st.text("ab", min_size=1, max_size=4)


def cut(pieces, stops):
    cutter = StopCutter(stops)
    passed = "".join([cutter.feed(piece) for piece in pieces])
    return passed + cutter.rest()


@given(PIECES, STOP)
def test_one_stop(pieces, stop):
    """However a text is split, the part before the first stop sequence passes."""
    assert cut(pieces, [stop]) == "".join(pieces).split(stop)[0]


@given(PIECES, st.lists(STOP, max_size=4))
@example(["aab", "b"], ["aabb", "ab"])
def test_splitting_changes_nothing(pieces, stops):
    """With several stop sequences, too, the answer does not depend on the splitting."""
    assert cut(pieces, stops) == cut(["".join(pieces)], stops)


@given(PIECES, st.lists(STOP, max_size=4))
def test_no_stop_passes(pieces, stops):
    """The passed text is a prefix of the text, and holds no stop sequence."""
    passed = cut(pieces, stops)
    assert not any(stop in passed for stop in stops)
    assert "".join(pieces).startswith(passed)


@given(PIECES, st.lists(STOP, max_size=4))
def test_hit(pieces, stops):
    """`hit` says whether the text held a stop sequence."""
    cutter = StopCutter(stops)
    for piece in pieces:
        cutter.feed(piece)
    assert cutter.hit is any(stop in "".join(pieces) for stop in stops)


@given(st.lists(st.text()))
def test_without_stops_nothing_waits(pieces):
    """Without stop sequences every piece passes at once and unchanged."""
    cutter = StopCutter(())
    assert [cutter.feed(piece) for piece in pieces] == pieces
    assert cutter.rest() == ""


@pytest.mark.parametrize(
    ("fed", "passed", "rest"),
    [
        ("xyz", "xyz", ""),
        ("xE", "x", "E"),
        ("xEN", "x", "EN"),
        ("xEND", "x", ""),
        ("xENx", "xENx", ""),
        ("xENDy", "x", ""),
        ("xEEN", "xE", "EN"),
    ],
)
def test_held_back(fed, passed, rest):
    """Only text that may begin a stop sequence is held back, at most until the end."""
    cutter = StopCutter(["END"])
    assert (cutter.feed(fed), cutter.rest()) == (passed, rest)


def test_nothing_after_a_stop():
    """Nothing passes after a stop sequence."""
    cutter = StopCutter(["END"])
    assert (cutter.feed("a E"), cutter.feed("ND b"), cutter.feed("c")) == ("a ", "", "")
    assert cutter.rest() == ""


def test_white_space_stops():
    """A stop sequence may be white space."""
    cutter = StopCutter(["\n\n"])
    assert (cutter.feed("a\n"), cutter.feed("b\n"), cutter.feed("\nc")) == ("a", "\nb", "")
    assert cutter.hit
