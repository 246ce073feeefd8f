"""Permission rules: how a list is split, and which rules have an effect."""

import pytest

from wrapper.services.permissions.rules import is_rule, split_rules


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("", ()),
        ("Bash", ("Bash",)),
        ("Bash(git log:*), Edit", ("Bash(git log:*)", "Edit")),
        ("Read Write,Edit(/tmp/**)", ("Read", "Write", "Edit(/tmp/**)")),
        ("Bash(a, b),Read", ("Bash(a, b)", "Read")),
        (" , ", ()),
    ],
)
def test_split(text, rules):
    """Commas and spaces separate rules, but not within brackets."""
    assert split_rules(text) == rules


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("Bash", True),
        ("Bash(rm:*)", True),
        ("Bash(echo (a))", True),
        ("Bash(a\nb)", True),
        ("bash", False),
        ("Bash(", False),
        ("Bash(rm) x", False),
        ("Read", False),
        ("", False),
        ("*", False),
    ],
)
def test_is_rule(text, good):
    """A rule names a known tool, with or without a pattern."""
    assert is_rule(text, {"Bash"}) == good
