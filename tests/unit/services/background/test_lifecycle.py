"""The lifecycle: when a gateway drains, and what its server learns of a refusal."""

from wrapper.services.background.lifecycle import Lifecycle


def test_draining():
    """A gateway drains once it was told to, or while its server shuts down."""
    lifecycle = Lifecycle()
    assert not lifecycle.drains()
    lifecycle.draining = lambda: True
    assert lifecycle.drains()
    lifecycle.draining = lambda: False
    lifecycle.drain()
    assert lifecycle.drains()


def test_refused_once():
    """The server gets the first reason, however many processes are refused."""
    lifecycle, reasons = Lifecycle(), list[str]()
    lifecycle.on_refusal = reasons.append
    lifecycle.refuse("too old")
    lifecycle.refuse("too old, again")
    assert reasons == ["too old"]
