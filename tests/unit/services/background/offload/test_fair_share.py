"""Which caller gets the next slot of the fair share, and which is refused."""

import threading
from contextlib import contextmanager

import pytest

from tests.support.server import eventually
from wrapper.errors import ChecksBusy, ClientGone
from wrapper.services.background.offload import fair_share
from wrapper.services.background.offload.fair_share import FairShare


def stays():
    return False


def count(share, name):
    """Return the number of waiting jobs of *name*."""
    return sum(waiter.caller == name for waiter in list(share._waiting))


@contextmanager
def waiting(share, name, served):
    """Wait for a slot as *name*, and add that to *served* on getting one."""

    def wait():
        with share.slot(name, stays):
            served.append(name)

    before = count(share, name)
    thread = threading.Thread(target=wait)
    thread.start()
    assert eventually(lambda: count(share, name) > before)
    yield
    thread.join()


@contextmanager
def refused(share, name):
    """Wait for a slot as *name* until it is refused."""
    caught: list[Exception] = []

    def wait():
        with pytest.raises(ChecksBusy) as raised, share.slot(name, stays):
            pass
        caught.append(raised.value)

    before = count(share, name)
    thread = threading.Thread(target=wait)
    thread.start()
    assert eventually(lambda: count(share, name) > before)
    yield
    thread.join()
    assert caught


def test_least_used_first():
    """The waiting caller with the least use comes first, whatever the order of arrival."""
    share = FairShare(1, queue=9, max_wait=60)
    served: list[str] = []
    share._used = {"busy": 100.0, "calm": 1.0}
    with share.slot("other", stays):
        waiters = [waiting(share, name, served) for name in ("busy", "busy", "calm", "new")]
        for waiter in waiters:
            waiter.__enter__()
    for waiter in waiters:
        waiter.__exit__(None, None, None)
    assert served == ["new", "calm", "busy", "busy"]


def test_use_is_forgotten():
    """A caller's use counts less over time, until nothing of it is kept."""
    share = FairShare(1, queue=9, max_wait=60)
    share._used = {"busy": 100.0}
    share._halved -= 20 * fair_share.HALF_LIFE_SECONDS
    with share.slot("new", stays):
        assert "busy" not in share._used


def test_full_queue():
    """When the queue is full the next job is refused with a time to retry."""
    share = FairShare(1, queue=0, max_wait=60)
    with share.slot("a", stays), pytest.raises(ChecksBusy) as caught, share.slot("b", stays):
        pass
    assert (caught.value.code, caught.value.retry_after) == ("checks_busy", 5)


def test_one_caller_cannot_fill_the_queue():
    """When one caller's jobs fill the queue, the newest of them gives way to another caller."""
    share = FairShare(1, queue=2, max_wait=60)
    served: list[str] = []
    with share.slot("other", stays):
        first, calm = (waiting(share, name, served) for name in ("busy", "calm"))
        first.__enter__()
        with refused(share, "busy"):
            calm.__enter__()
    first.__exit__(None, None, None)
    calm.__exit__(None, None, None)
    assert sorted(served) == ["busy", "calm"]


def test_one_caller_cannot_hold_all_slots():
    """One caller's jobs leave a slot for other callers, however many wait."""
    share = FairShare(2, queue=9, max_wait=60)
    served: list[str] = []
    with share.slot("busy", stays):
        second = waiting(share, "busy", served)
        second.__enter__()
        with share.slot("calm", stays):
            assert served == []
    second.__exit__(None, None, None)
    assert served == ["busy"]


def test_longest_wait():
    """A job that has waited too long is refused and leaves the queue."""
    share = FairShare(1, queue=9, max_wait=0)
    with share.slot("a", stays):
        with pytest.raises(ChecksBusy), share.slot("b", stays):
            pass
        assert not share._waiting
    with share.slot("b", stays):
        pass


def test_gone():
    """A job whose client has left leaves the queue."""
    share = FairShare(1, queue=9, max_wait=60)
    with share.slot("a", stays), pytest.raises(ClientGone), share.slot("b", lambda: True):
        pass
    assert not share._waiting
