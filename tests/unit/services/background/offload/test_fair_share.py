"""The fair share: who gets the next slot, and who is refused."""

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
    """Return how many jobs of *name* wait."""
    return sum(waiter.caller == name for waiter in list(share._waiting))


@contextmanager
def waiting(share, name, served):
    """Let *name* wait for a slot, and add it to *served* when it gets one."""

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
    """Let *name* wait for a slot until it is refused."""
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
    """Of those who wait the one comes first who has used least, whoever came first."""
    share = FairShare(1, queue=9, patience=60)
    served: list[str] = []
    share._used = {"busy": 100.0, "calm": 1.0}
    with share.slot("other", stays):
        held = [waiting(share, name, served) for name in ("busy", "busy", "calm", "new")]
        for each in held:
            each.__enter__()
    for each in held:
        each.__exit__(None, None, None)
    assert served == ["new", "calm", "busy", "busy"]


def test_what_was_used_is_forgotten():
    """What a caller has used counts ever less, and in the end nothing is kept of them."""
    share = FairShare(1, queue=9, patience=60)
    share._used = {"busy": 100.0}
    share._halved -= 20 * fair_share.HALF_LIFE_SECONDS
    with share.slot("new", stays):
        assert "busy" not in share._used


def test_full_queue():
    """Where as many wait as may, the next one is refused, to come again."""
    share = FairShare(1, queue=0, patience=60)
    with share.slot("a", stays), pytest.raises(ChecksBusy) as caught, share.slot("b", stays):
        pass
    assert (caught.value.code, caught.value.retry_after) == ("checks_busy", 5)


def test_nobody_fills_the_queue():
    """Where one caller's jobs fill the queue, the newest of those is refused for another caller."""
    share = FairShare(1, queue=2, patience=60)
    served: list[str] = []
    with share.slot("other", stays):
        first, calm = (waiting(share, name, served) for name in ("busy", "calm"))
        first.__enter__()
        with refused(share, "busy"):
            calm.__enter__()
    first.__exit__(None, None, None)
    calm.__exit__(None, None, None)
    assert sorted(served) == ["busy", "calm"]


def test_nobody_holds_all_slots():
    """One caller's jobs leave a slot for other callers, however many wait."""
    share = FairShare(2, queue=9, patience=60)
    served: list[str] = []
    with share.slot("busy", stays):
        second = waiting(share, "busy", served)
        second.__enter__()
        with share.slot("calm", stays):
            assert served == []
    second.__exit__(None, None, None)
    assert served == ["busy"]


def test_patience():
    """Who has waited for too long is refused, and waits no more."""
    share = FairShare(1, queue=9, patience=0)
    with share.slot("a", stays):
        with pytest.raises(ChecksBusy), share.slot("b", stays):
            pass
        assert not share._waiting
    with share.slot("b", stays):
        pass


def test_gone():
    """Who has gone waits no more."""
    share = FairShare(1, queue=9, patience=60)
    with share.slot("a", stays), pytest.raises(ClientGone), share.slot("b", lambda: True):
        pass
    assert not share._waiting
