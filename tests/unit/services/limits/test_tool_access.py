"""Whether a tool may be used, and by which rule. tests/live/test_agent_tools.py tries it."""

import pytest

from wrapper.services.limits.bounds import bounds_of
from wrapper.services.limits.tool_access import ToolAccess
from wrapper.services.principal import LOCAL, Principal
from wrapper.services.tools.config import ToolConfig
from wrapper.settings import Settings


def access(tool, principal=LOCAL, session=None, plain=False, **settings):
    given = Settings(**settings)
    bounds = bounds_of(given, principal, session)
    found = ToolAccess(given, principal, bounds, plain=plain).of(tool)
    assert found.reason.endswith(".")
    return found.access, found.source, found.rule


def key(**limits):
    return Principal("alice", **limits)


@pytest.mark.parametrize(
    ("mode", "write"),
    [
        ("plan", "denied"),
        ("default", "denied"),
        ("dontAsk", "denied"),
        ("acceptEdits", "allowed"),
    ],
)
def test_modes(mode, write):
    """The permission mode decides who writes and fetches; reading needs no permission."""
    by_key = "key" if mode != "acceptEdits" else "settings", "permission_mode"
    by_mode = by_key if mode != "acceptEdits" else ("settings", "CLAUDE_PERMISSION_MODE")
    caller = key(permission_mode=mode)
    assert access("Read", caller) == ("allowed", "", "")
    assert access("Write", caller) == (write, *by_mode)
    assert access("WebSearch", caller) == ("denied", *by_mode)
    assert access("WebFetch", caller) == ("conditional", *by_mode)
    assert access("mcp__a__b", caller)[0] == "denied"
    assert access("TaskCreate", key(permission_mode=mode), claude_tools=("TaskCreate",)) == (
        "allowed",
        "",
        "",
    )


def test_questions():
    """Questions are answered in the mode ask alone, whatever rules say."""
    for mode in ("plan", "default", "acceptEdits"):
        caller = key(permission_mode=mode, allowed_tools=("AskUserQuestion",))
        assert access("AskUserQuestion", caller, claude_tools=("AskUserQuestion",))[0] == "denied"
    caller = key(permission_mode="ask")
    needs = access("AskUserQuestion", caller, claude_tools=("AskUserQuestion",))
    assert needs == ("needs_approval", "key", "permission_mode")
    assert access("AskUserQuestion", caller)[0] == "denied"


def test_ask():
    """In the mode ask, what would be denied needs approval, as far as the limits allow it."""
    rule = ("key", "permission_mode")
    caller = key(permission_mode="ask")
    free = {"claude_permission_mode": "ask", "allow_unsandboxed_bash": True}
    narrow = ("settings", "CLAUDE_PERMISSION_MODE")
    assert access("Read", caller) == ("allowed", "", "")
    assert access("Write", caller) == ("needs_approval", *rule)
    assert access("WebSearch", caller) == ("denied", *narrow)
    assert access("Bash", caller) == ("conditional", "settings", "read_only_commands")
    assert access("WebSearch", **free) == ("needs_approval", *narrow)
    assert access("Bash", **free) == ("needs_approval", *narrow)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ("conditional", "settings", "read_only_commands")),
        ({"claude_sandbox": True}, ("conditional", "settings", "CLAUDE_SANDBOX")),
        (
            {"allow_unsandboxed_bash": True},
            ("conditional", "settings", "CLAUDE_PERMISSION_MODE"),
        ),
        (
            {"allow_unsandboxed_bash": True, "claude_allowed_tools": "Bash"},
            ("allowed", "settings", "CLAUDE_ALLOWED_TOOLS"),
        ),
        (
            {
                "allow_unsandboxed_bash": True,
                "claude_permission_mode": "bypassPermissions",
                "allow_bypass": True,
            },
            ("allowed", "settings", "CLAUDE_PERMISSION_MODE"),
        ),
    ],
)
def test_commands(settings, expected):
    """Which commands run depends on how they are confined."""
    assert access("Bash", **settings) == expected


@pytest.mark.parametrize(
    ("limits", "tool", "expected"),
    [
        ({"profile": "plain"}, "Read", ("denied", "key", "profile")),
        ({"tools": ("Write",)}, "Bash", ("denied", "key", "tools")),
        ({"tools": ("Write",)}, "Write", ("denied", "key", "tools")),  # it has to read, too
        ({"disallowed_tools": ("Edit",)}, "Edit", ("denied", "key", "disallowed_tools")),
        ({"disallowed_tools": ("Edit(/a)",)}, "Write", ("conditional", "key", "disallowed_tools")),
        ({"disallowed_tools": ("Read",)}, "Write", ("denied", "key", "disallowed_tools")),
        ({"disallowed_tools": ("Read",)}, "Grep", ("allowed", "", "")),
        ({"allowed_tools": ("WebSearch",)}, "WebSearch", ("allowed", "key", "allowed_tools")),
        (
            {"allowed_tools": ("WebSearch",), "permission_mode": "plan"},
            "WebSearch",
            ("allowed", "key", "allowed_tools"),
        ),
        (
            {"allowed_tools": ("Write",), "permission_mode": "plan"},
            "Write",
            ("denied", "key", "permission_mode"),
        ),
        (
            {"allowed_tools": ("Edit(/tmp/**)",), "permission_mode": "default"},
            "Write",
            ("conditional", "key", "allowed_tools"),
        ),
        (
            {"config": ToolConfig(allowed_tools=("Read",))},
            "Grep",
            ("denied", "key_config", "allowed_tools"),
        ),
    ],
)
def test_key(limits, tool, expected):
    """Each limit of a key is named as the rule where it decides."""
    assert access(tool, key(**limits)) == expected


def test_session():
    """A session's own limits are named, and they do not widen those of the key."""
    config = ToolConfig(disallowed_tools=("Read",), permission_mode="acceptEdits")
    assert access("Read", session=config) == ("denied", "session", "disallowed_tools")
    narrow = key(permission_mode="default")
    assert access("Write", narrow, ToolConfig(permission_mode="acceptEdits")) == (
        *("denied", "key", "permission_mode"),
    )
    assert access("Read", plain=True) == ("denied", "session", "profile")


def test_rules_of_the_settings():
    """A rule of CLAUDE_DISALLOWED_TOOLS that denies some uses leaves the others."""
    found = access("WebFetch", claude_disallowed_tools="Bash(rm:*)")
    assert found[0] == "conditional"
    assert access("Read", claude_disallowed_tools="Read(/etc/**)") == (
        *("conditional", "settings", "CLAUDE_DISALLOWED_TOOLS"),
    )
