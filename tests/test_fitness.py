"""The fitness: which versions may serve, and what is said of those that may not."""

import pytest

from wrapper.services.claude.cli import OLDEST_READ_ONLY, OLDEST_VERSION
from wrapper.services.claude.failures import Refused
from wrapper.services.claude.fitness import check_read_only, check_version


def text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


@pytest.mark.parametrize(
    ("check", "oldest"), [(check_version, OLDEST_VERSION), (check_read_only, OLDEST_READ_ONLY)]
)
def test_oldest_version(check, oldest):
    """The oldest version that will do is taken, and the one before is refused with the mend."""
    check(text(oldest))
    before = (*oldest[:-1], oldest[-1] - 1)
    with pytest.raises(Refused, match=f"older than {text(oldest)}.*pip install"):
        check(text(before))


def test_what_else_an_older_one_may_do():
    """Where an older Claude Code is kept, a setting that holds its commands will do as well."""
    with pytest.raises(Refused, match="take Bash out of CLAUDE_TOOLS, or set CLAUDE_SANDBOX=true"):
        check_read_only(text(OLDEST_VERSION))
