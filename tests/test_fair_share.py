"""The fair share: who gets the next slot, and who is refused."""

import threading
from contextlib import contextmanager

import pytest

from tests.live.server import eventually
from wrapper.errors import ChecksBusy, ClientGone
from wrapper.services import fair_share
from wrapper.services.fair_share import FairShare


def stays():
    return False


@contextmanager
def waiting(share, name, served):
    """Let *name* wait for a slot, and add it to *served* when it gets one."""

    def wait():
        with share.slot(name, stays):
            served.append(name)

    before = len(share._waiting)
    thread = threading.Thread(target=wait)
    thread.start()
    assert eventually(lambda: len(share._waiting) > before)
    yield
    thread.join()


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
