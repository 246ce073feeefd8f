"""What follows for a turn from the checks that its Claude Code fails."""

from __future__ import annotations

from dataclasses import replace

import pytest

from wrapper.errors import BadGateway
from wrapper.services.claude.processes.qualification import Qualification
from wrapper.services.claude.processes.trials.needs import failed_checks
from wrapper.services.claude.processes.trials.table import CHECKS
from wrapper.services.turn import Message, Permissions, Sampling, Turn

ASKED = (Message("user", ("Hello.",)),)
AGENT = Turn("m", ASKED)
PLAIN = replace(AGENT, profile="plain")
LONG = (*ASKED, Message("assistant", ("Yes?",)), *ASKED)


def failing(*checks: str) -> Qualification:
    return Qualification(dict.fromkeys(checks, "It differs."))


def test_all_pass():
    """Where nothing fails, or nothing is known yet, turns run."""
    assert failed_checks(AGENT, Qualification()) == ()
    assert failed_checks(AGENT, Qualification({check.id: "" for check in CHECKS})) == ()


def test_named():
    """A turn that depends on a failed check runs, and names it; those of another profile do not."""
    assert failed_checks(PLAIN, failing("form", "warm-up")) == ("form", "warm-up")
    assert failed_checks(AGENT, failing("form", "model")) == ("model",)


@pytest.mark.parametrize(
    ("check", "turn", "other"),
    [
        ("history", replace(AGENT, messages=LONG), AGENT),
        ("max-turns", replace(AGENT, permissions=Permissions(max_turns=2)), AGENT),
        ("rules", replace(AGENT, permissions=Permissions(deny=("Read",))), AGENT),
        ("sampling", replace(PLAIN, sampling=Sampling(temperature=0.5)), PLAIN),
        ("sampling", replace(AGENT, sampling=Sampling(max_tokens=9)), AGENT),
    ],
)
def test_unavailable(check, turn, other):
    """A turn that cannot do without it is refused for good; others run."""
    with pytest.raises(BadGateway, match=f"installed Claude Code lacks.*{check}") as refused:
        failed_checks(turn, failing(check))
    assert refused.value.retry is False
    assert failed_checks(other, failing(check)) == ()
