"""The policy: what a request may use, and which limits refuse it."""

import pytest

from wrapper.errors import InvalidRequest, PermissionDenied
from wrapper.services.catalog import Catalog, Model
from wrapper.services.limits.policy import Policy
from wrapper.services.messages.message import ChatMessage
from wrapper.services.principal import LOCAL, Principal
from wrapper.services.request import TurnRequest
from wrapper.services.tools.config import NO_CONFIG, WIDTHS, ToolConfig
from wrapper.services.turn import (
    Function,
    OutputSchema,
    Permissions,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from wrapper.settings import PERMISSION_MODES, TOOLS, Settings

MODELS = [
    Model("sonnet", "claude-sonnet-5-5"),
    Model("haiku", "claude-haiku-5-5"),
    Model("opus", "claude-opus-5-5"),
]
HI = (ChatMessage("user", ("Hi",)),)
CALLED = ChatMessage("assistant", (ToolCall("c", "f", "{}"),))
# Each makes the request need the profile plain.
CLIENTS = {
    "functions": {"functions": (Function("f", {}),)},
    "functions that may not be called": {
        "functions": (Function("f", {}),),
        "tool_choice": ToolChoice("none"),
    },
    "no calls": {"tool_choice": ToolChoice("none")},
    "a schema": {"output_schema": OutputSchema("s", {})},
    "a beginning": {"prefill": True},
    "a call": {"messages": (*HI, CALLED)},
    "a result": {"messages": (ChatMessage("tool", ("42",), "c"), *HI)},
    "a result among parts": {"messages": (ChatMessage("user", ("a", ToolResult("c", ("42",)))),)},
    "an old result": {"messages": (*HI, ChatMessage("function", ("42",), "f"))},
}


def grant(principal=LOCAL, model="sonnet", settings=(), config=NO_CONFIG, **asked):
    """Return the grant for a request with *asked*, or raise."""
    settings = Settings(**dict(settings))
    catalog = Catalog(lambda: MODELS, default="sonnet", aliases={"gpt": "haiku"}, remap=True)
    request = TurnRequest(**{"messages": HI, **asked})
    return Policy(settings, catalog).grant(request, model, principal, config)


def refused(principal=LOCAL, **asked):
    """Return the error that refuses a request."""
    with pytest.raises(PermissionDenied) as caught:
        grant(principal, **asked)
    assert caught.value.status == 403
    return caught.value


def key(**policy):
    return Principal("alice", **policy)


def test_nothing_asked_and_no_ceiling():
    """Without limits of the key a request gets what the settings allow."""
    assert grant() == grant(key())
    assert (grant().profile, grant().permissions) == ("agent", Permissions())
    assert grant(settings={"default_profile": "plain"}).profile == "plain"


@pytest.mark.parametrize(
    ("models", "may", "may_not"),
    [
        (("haiku",), ["haiku", "claude-haiku-5-5"], ["sonnet", "claude-haiku-4-5", "opus"]),
        (("claude-haiku-5-5",), ["haiku", "claude-haiku-5-5"], ["sonnet"]),
        (("gpt",), ["haiku", "claude-haiku-5-5"], ["sonnet"]),
        (("claude-*",), ["haiku", "sonnet", "claude-opus-4-1"], ["eu.anthropic.claude-x"]),
        (("son*", "opus"), ["sonnet", "opus", "claude-opus-5-5"], ["haiku", "claude-sonnet-5-5"]),
        ((), [], ["haiku", "sonnet"]),
        (None, ["haiku", "anything"], []),
    ],
)
def test_models(models, may, may_not):
    """A model is allowed by its name, by the model that it runs, or by pattern."""
    for model in may:
        grant(key(models=models), model=model)
    for model in may_not:
        error = refused(key(models=models), model=model)
        assert (error.param, "(models)" in error.message) == ("model", True)


@pytest.mark.parametrize(
    ("most", "asked", "default", "gets"),
    [
        (None, None, "agent", "agent"),
        (None, "plain", "agent", "plain"),
        (None, "agent", "plain", "agent"),
        ("agent", "agent", "plain", "agent"),
        ("agent", None, "plain", "plain"),
        ("plain", None, "agent", "plain"),
        ("plain", "plain", "agent", "plain"),
    ],
)
def test_profile(most, asked, default, gets):
    """A request that asks for nothing gets the default, or less where the key has less."""
    settings = {"default_profile": default}
    assert grant(key(profile=most), settings=settings, profile=asked).profile == gets


@pytest.mark.parametrize("clients", CLIENTS.values(), ids=CLIENTS)
def test_the_clients_own(clients):
    """A conversation with client functions is plain, unless it asks for the profile agent."""
    assert grant(**clients).profile == "plain"
    assert grant(key(profile="agent"), **clients).profile == "plain"
    assert grant(profile="agent", **clients).profile == "agent"


def test_profile_beyond():
    """A key without Claude Code's tools cannot ask for them."""
    error = refused(key(profile="plain"), profile="agent")
    assert error.param == "claude.profile"
    assert "the key 'alice' allows no more than plain (profile)" in error.message


@pytest.mark.parametrize(
    ("tools", "asked", "denied"),
    [
        (None, None, ()),
        (("Read", "Bash"), None, set(TOOLS) - {"Read", "Bash"}),
        ((), None, set(TOOLS)),
        (("Read", "Unknown"), None, set(TOOLS) - {"Read"}),
        (None, ("Read",), set(TOOLS) - {"Read"}),
        (("Read", "Bash"), ("Bash",), set(TOOLS) - {"Bash"}),
        (None, (), set(TOOLS)),
    ],
)
def test_tools(tools, asked, denied):
    """A request may use the tools that it asks for, else its key's; others are denied."""
    given = grant(key(tools=tools), allowed_tools=asked).permissions
    assert set(given.deny) == set(denied)
    assert given.allow == ()


@pytest.mark.parametrize(
    ("tools", "asked", "named"),
    [
        (("Read",), ("Read", "Bash"), "Bash was asked for, but the key 'alice' allows"),
        ((), ("Bash",), "no more than none (tools)"),
        (None, ("Agent",), "but the gateway's settings allow no more than"),
    ],
)
def test_tools_beyond(tools, asked, named):
    """A request for a tool that the key or the settings lack is refused, and names it."""
    error = refused(key(tools=tools), allowed_tools=asked)
    assert error.param == "claude.allowed_tools"
    assert named in error.message


@pytest.mark.parametrize(
    ("tools", "allowed", "named"),
    [
        (None, (), "MESSAGES_SERVER_TOOLS"),
        (("web_search",), (), "MESSAGES_SERVER_TOOLS"),
        (None, ("web_fetch",), "no more than web_fetch"),
        (("Read",), ("web_search",), "no more than Read (tools)"),
        (("Read", "web_search"), ("web_search",), None),
        (None, ("web_fetch", "web_search"), None),
    ],
)
def test_server_tools(tools, allowed, named):
    """A tool that runs at the provider needs the setting, and a key that may use it."""
    asked = {"settings": {"messages_server_tools": allowed}, "server_tools": ("web_search",)}
    if named is None:
        assert grant(key(tools=tools), **asked)
    else:
        error = refused(key(tools=tools), **asked)
        assert error.param == "tools"
        assert named in error.message


def test_rules():
    """Deny rules add up; allow rules are the key's, or else the settings'."""
    settings = {"claude_allowed_tools": "Bash(git log:*), Edit", "claude_tools": ("Bash", "Edit")}
    assert grant(settings=settings).permissions.allow == ("Bash(git log:*)", "Edit")
    mine = key(allowed_tools=("Bash(ls:*)",), disallowed_tools=("Bash(rm:*)",))
    given = grant(mine, settings=settings, disallowed_tools=("Edit(/etc/**)",)).permissions
    assert given.allow == ("Bash(ls:*)",)
    assert given.deny == ("Bash(rm:*)", "Edit(/etc/**)")
    assert grant(key(allowed_tools=()), settings=settings).permissions.allow == ()


@pytest.mark.parametrize("rule", ["bash", "Agent", "", "Bash(", "Bash(rm) x", "mcp__a__b"])
def test_rules_that_deny_nothing(rule):
    """A deny rule for an unknown tool is a 400, because it was meant to deny something."""
    with pytest.raises(InvalidRequest) as caught:
        grant(disallowed_tools=("Bash", rule))
    assert caught.value.param == "claude.disallowed_tools.1"


@pytest.mark.parametrize("ours", PERMISSION_MODES)
@pytest.mark.parametrize("most", [None, *PERMISSION_MODES])
@pytest.mark.parametrize("asked", [None, *PERMISSION_MODES])
def test_permission_mode(ours, most, asked):
    """No turn runs in a wider mode than settings, key and request each allow."""
    principal, settings = key(permission_mode=most), {"claude_permission_mode": ours}
    widest = min(WIDTHS[ours], WIDTHS[most or ours])
    if asked and WIDTHS[asked] > widest:
        error = refused(principal, settings=settings, permission_mode=asked)
        assert error.param == "claude.permission_mode"
        return
    mode = grant(principal, settings=settings, permission_mode=asked).permissions.mode or ours
    assert WIDTHS[mode] == (WIDTHS[asked] if asked else widest)
    assert asked in (None, mode)


@pytest.mark.parametrize(
    ("ours", "most", "approvable"),
    [
        ("acceptEdits", None, "edits"),
        ("ask", None, "inside"),
        ("ask", "acceptEdits", "edits"),
        ("acceptEdits", "ask", "edits"),
        ("bypassPermissions", "ask", "inside"),
    ],
)
def test_what_can_be_approved(ours, most, approvable):
    """In the mode ask, approvals allow no more than settings and key each do."""
    settings = {"claude_permission_mode": ours}
    permissions = grant(
        key(permission_mode=most), settings=settings, permission_mode="ask"
    ).permissions
    assert (permissions.mode, permissions.approvable) == ("ask", approvable)
    narrow = grant(settings=settings, permission_mode="default").permissions
    assert narrow.approvable == "nothing"


@pytest.mark.parametrize(
    ("most", "asked", "gets"), [(None, None, None), (5, None, 5), (None, 9, 9), (5, 5, 5)]
)
def test_max_turns(most, asked, gets):
    """The rounds of tool use are the requested ones, else the key's."""
    assert grant(key(max_turns=most), max_turns=asked).permissions.max_turns == gets


def test_max_turns_beyond():
    """More rounds than the key allows are refused."""
    assert refused(key(max_turns=5), max_turns=6).param == "claude.max_turns"


def test_choices_beyond():
    """More choices than the key may run at once are refused without a retry."""
    grant(key(concurrent_turns=2), n=2)
    error = refused(key(concurrent_turns=2), n=3)
    assert (error.param, "concurrent_turns" in error.message) == ("n", True)


def test_plain_has_no_permissions():
    """The profile plain has no permissions, and asking for tools in it is a 400."""
    assert grant(key(tools=("Read",), max_turns=3), profile="plain").permissions == Permissions()
    assert grant(profile="plain", allowed_tools=()).profile == "plain"
    with pytest.raises(InvalidRequest, match="ask for agent"):
        grant(profile="plain", allowed_tools=("Read",))


def test_messages_cannot_be_flooded():
    """An error repeats only the beginning of a long value."""
    assert len(refused(key(models=("haiku",)), model="x" * 10_000).message) < 300
    assert len(refused(key(tools=("Read",)), allowed_tools=("y" * 10_000,)).message) < 500


KEY_CONFIG = ToolConfig(("Read", "Grep"), ("Grep",), "default", 5)


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"allowed_tools": ("Write",)}, "the tool config of the key 'alice'"),
        ({"permission_mode": "acceptEdits"}, "the tool config of the key 'alice'"),
        ({"max_turns": 6}, "the tool config of the key 'alice'"),
        ({"allowed_tools": ("Grep",)}, "the session's tool config"),
        ({"permission_mode": "default"}, "the session's tool config"),
        ({"max_turns": 4}, "the session's tool config"),
    ],
)
def test_beyond_a_config(asked, named):
    """A request beyond a tool config is refused with 403, and the error names that config."""
    session = ToolConfig(("Read", "Write"), None, "plan", 3)
    config = NO_CONFIG if "key" in named else session
    with pytest.raises(PermissionDenied) as caught:
        grant(key(config=KEY_CONFIG), config=config, **asked)
    assert named in caught.value.message
    assert caught.value.param == f"claude.{next(iter(asked))}"


def test_within_configs():
    """What a request leaves out is as narrow as the settings, the key and both configs together."""
    session = ToolConfig(("Read", "Write"), ("Write",), "plan", 3)
    granted = grant(key(config=KEY_CONFIG), config=session).permissions
    assert set(granted.deny) == {*TOOLS, "Grep", "Write"} - {"Read"}
    assert (granted.mode, granted.max_turns) == ("plan", 3)
    wide = ToolConfig(None, (), "bypassPermissions", 99)
    assert grant(key(config=KEY_CONFIG), config=wide) == grant(key(config=KEY_CONFIG))


@pytest.mark.parametrize("session", [False, True])
def test_tools_of_the_provider_and_configs(session):
    """A tool config with a list of tools also shuts out tools that run at the provider."""
    settings, asked = {"messages_server_tools": ("web_search_20250305",)}, ("web_search_20250305",)
    grant(key(), settings=settings, server_tools=asked, profile="plain")
    narrow = ToolConfig(allowed_tools=("Read",))
    by_key = key(config=None if session else narrow)
    with pytest.raises(PermissionDenied, match="tool config"):
        grant(
            by_key,
            settings=settings,
            config=narrow if session else NO_CONFIG,
            server_tools=asked,
            profile="plain",
        )
