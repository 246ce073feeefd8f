"""Which versions of Claude Code may serve, and why others may not."""

import pytest

from wrapper.services.claude.errors import Refused
from wrapper.services.claude.processes.compatibility import check, check_read_only, check_version
from wrapper.services.claude.processes.profiles import OLDEST_READ_ONLY, OLDEST_VERSION, Profile
from wrapper.services.claude.protocol import permission_prompt


def text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


@pytest.mark.parametrize(
    ("checked", "oldest"), [(check_version, OLDEST_VERSION), (check_read_only, OLDEST_READ_ONLY)]
)
def test_oldest_version(checked, oldest):
    """The oldest allowed version passes; an older one is refused, with what to do."""
    checked(text(oldest))
    before = (*oldest[:-1], oldest[-1] - 1)
    with pytest.raises(Refused, match=f"older than {text(oldest)}.*pip install"):
        checked(text(before))


def test_what_else_an_older_one_may_do():
    """The refusal also names the settings with which an older version may stay."""
    with pytest.raises(Refused, match="take Bash out of CLAUDE_TOOLS, or set CLAUDE_SANDBOX=true"):
        check_read_only(text(OLDEST_VERSION))


def test_one_that_does_not_ask():
    """A Claude Code that runs commands unasked is refused where they may only read."""
    profile, version = Profile("agent", (), {}, reads_only=True), text(OLDEST_READ_ONLY)
    asks = {"effective": {"permissions": {"ask": list(permission_prompt.ASKED)}}}
    check(profile, version, lambda _: asks)
    with pytest.raises(Refused, match="does not ask the gateway"):
        check(profile, version, lambda _: {"effective": {}})
