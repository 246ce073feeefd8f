"""The pause after failed boots, and when turns need not wait for its end."""

from tests.support.log_records import messages_of
from wrapper.errors import BadGateway, Unavailable
from wrapper.services.claude.processes.backoff import (
    FIRST_DELAY,
    LOG_SECONDS,
    LONGEST_DELAY,
    Backoff,
    FailureLog,
)


def fail(backoff: Backoff) -> float:
    """Let a boot fail after the pause, and return the next pause."""
    backoff.paused = False
    _, delay = backoff.fail(Unavailable("No luck."))
    return delay


def test_delays():
    """Each failure doubles the pause up to the longest one, and a success begins anew."""
    backoff = Backoff()
    delays = [fail(backoff) for _ in range(8)]
    assert delays[:3] == [FIRST_DELAY * 2, FIRST_DELAY * 4, FIRST_DELAY * 8]
    assert delays[-1] == LONGEST_DELAY
    backoff.succeed()
    assert fail(backoff) == delays[0]


def test_failures_during_a_pause():
    """Failures during a pause count once."""
    backoff = Backoff()
    first = fail(backoff)
    _, again = backoff.fail(Unavailable("No luck."))
    assert again == first


def test_hopeless():
    """Turns need not wait after a second failure without a boot under way, or a refusal."""
    backoff = Backoff()
    fail(backoff)
    assert not backoff.is_hopeless(booting=0)
    fail(backoff)
    assert backoff.is_hopeless(booting=0)
    assert not backoff.is_hopeless(booting=1)
    backoff.refuse(BadGateway("Too old."))
    assert backoff.is_hopeless(booting=1)


def test_the_error_says_when_to_retry():
    """The error carries the pause in seconds, and is kept until a boot succeeds."""
    backoff = Backoff()
    error, _ = backoff.fail(Unavailable("No luck."))
    assert (backoff.error, error.retry_after) == (error, 1)
    backoff.succeed()
    assert backoff.error is None


def test_the_log_of_failures(caplog, clock):
    """The same failure of several processes is logged once a minute, another one at once."""
    failures = FailureLog(clock=clock)
    for _ in range(3):
        failures.report("it coughed")
    failures.report("it sneezed")
    assert messages_of(caplog, FailureLog) == ["it coughed", "it sneezed"]
    clock.now = LOG_SECONDS
    failures.report("it coughed")
    assert messages_of(caplog, FailureLog) == ["it coughed", "it sneezed", "it coughed"]
