"""The arguments and environment of each profile's processes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from wrapper.services.claude.additions import Additions, read_additions
from wrapper.services.claude.isolation import sandbox, unix_user
from wrapper.services.claude.isolation.unix_user import UnixUser
from wrapper.services.claude.login.login import uses_cli_login, uses_cloud
from wrapper.services.claude.protocol import permission_prompt
from wrapper.services.permissions.confinement import initial_mode, reads_only
from wrapper.settings import Settings

HOW_TO_UPDATE = (
    "pip install 'claude-code-gateway[claude]', or npm install -g @anthropic-ai/claude-code"
)

PASSED = (
    *("HOME", "PATH", "LANG", "TZ", "*_PROXY", "*_proxy", "SSL_CERT_*", "NODE_EXTRA_CA_CERTS"),
    *("ANTHROPIC_*", "AWS_*", "GOOGLE_*", "CLOUD_ML_REGION", "VERTEX_*"),
    *("CLAUDE_CODE_USE_*", "CLAUDE_CODE_SKIP_*_AUTH", "CLAUDE_CODE_OAUTH_TOKEN"),
)

# Those of PASSED that commands in the sandbox do not see. Proxies are replaced there.
SECRET = ("ANTHROPIC_*", "AWS_*", "GOOGLE_*", "CLAUDE_CODE_OAUTH_TOKEN")

QUIET = {
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
}
# No process may reach another one, or act unasked.
CLOSED = {
    "CLAUDE_CODE_HARBOR_KITE": "0",  # no socket on which processes find each other
    "CLAUDE_CODE_DISABLE_AUTO_MEMORY": "1",
    "CLAUDE_CODE_DISABLE_CLAUDE_MDS": "1",
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    "CLAUDE_CODE_DISABLE_CRON": "1",
}
COMPACT = "DISABLE_COMPACT"
BETAS = "ANTHROPIC_BETAS"
RETRIES = "CLAUDE_CODE_MAX_RETRIES"
# One upstream request is one answer: no retry, no summary, no other model.
FAITHFUL = {
    COMPACT: "1",
    "CLAUDE_CODE_DISABLE_LEGACY_MODEL_REMAP": "1",
    "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK": "1",
    "CLAUDE_CODE_DISABLE_REFUSAL_RETRY": "1",
    "CLAUDE_CODE_DISABLE_REFUSAL_FALLBACK": "1",
    "CLAUDE_CODE_NO_MODEL_FALLBACK": "1",
    # Whether a prompt is too long is for the API to count, not for the CLI to estimate.
    "CLAUDE_CODE_BLOCKING_LIMIT_OVERRIDE": "1000000000",
}
# Its runtime collects garbage each second, also if there is little, which costs a process that runs
# turns a tenth of its CPU time. It still does so when much has been allocated.
RUNTIME = {"BUN_GC_TIMER_INTERVAL": "10000"}
# The model sees all functions at once, and need not search for them. Without a compiler of its
# runtime that pays only for code that runs very often, Claude Code needs less CPU time.
AGENT = {"ENABLE_TOOL_SEARCH": "false", "BUN_JSC_useDFGJIT": "0"}
# A plain process runs many turns. It compiles only what they use most, and not what its first turn
# runs a thousand times.
PLAIN = {
    "BUN_JSC_thresholdForOptimizeAfterWarmUp": "5000",
    "BUN_JSC_thresholdForOptimizeAfterLongWarmUp": "5000",
}
# Claude Code's own subagents are out of reach, and those that there are run with the turn's model.
SUBAGENTS = {
    "CLAUDE_AGENT_SDK_DISABLE_BUILTIN_AGENTS": "1",
    "CLAUDE_CODE_FORK_SUBAGENT": "0",
    "CLAUDE_CODE_SUBAGENT_MODEL": "inherit",
    "CLAUDE_CODE_SUBAGENT_MODEL_FORCE": "1",
}
# Else a skill reads any file that @ names in its arguments, which come from the model.
SKILL_TOOL = {"CLAUDE_CODE_DISABLE_FILE_MENTIONS": "1"}
# Claude Code's own skills are out of reach.
SKILLS = {"CLAUDE_CODE_DISABLE_BUNDLED_SKILLS": "1"}
# The model gets exactly what the caller wrote. A CLI login does not work with it.
SIMPLE = {"CLAUDE_CODE_SIMPLE": "1"}
# A budget below any price ends a turn after its first answer, before the CLI asks again.
SMALLEST_BUDGET = "0.0000001"


@dataclass(frozen=True)
class Profile:
    """What is fixed when a process is spawned, and its initial permission `mode`.

    `pooled`: processes boot before their turns come. `budgeted`: a turn ends after the model's
    first answer. `alike`: all turns have the same initialize request. `reads_only`: only commands
    that read may run. `sandboxed`: commands run in the sandbox. `user`: who owns the process, if
    not the gateway's user. `mcp_timeout`: seconds that an MCP server may take to connect, and
    `mcp_tool_timeout` those for a call. `first_event_timeout`: those until the model begins; 0: no
    limit. `connects`: turns may use MCP_CONFIG. `additions`: the operator's subagents and skills.
    """

    name: str
    arguments: tuple[str, ...]
    variables: Mapping[str, str]
    cwd: str | None = None
    pooled: bool = False
    budgeted: bool = False
    has_tools: bool = False
    alike: bool = False
    mode: str | None = None
    reads_only: bool = False
    sandboxed: bool = False
    user: UnixUser | None = None
    mcp_timeout: float = 0.0
    mcp_tool_timeout: float = 0.0
    first_event_timeout: float = 0.0
    connects: bool = False
    additions: Additions = field(default_factory=Additions)

    @property
    def first_party(self) -> bool:
        """Say whether the model's API is Anthropic's own, and not a cloud's."""
        return not uses_cloud(self.variables)

    @property
    def has_hooks(self) -> bool:
        """Say whether the CLI reads settings files of the operator's, which may have hooks."""
        return bool(self.arguments[self.arguments.index("--setting-sources") + 1])

    @property
    def asks_again(self) -> bool:
        """Say whether the CLI itself asks the model again after 429 and 5xx."""
        return self.variables.get(RETRIES, "0") != "0"


def build_profiles(settings: Settings, environment: Mapping[str, str]) -> dict[str, Profile]:
    """Return the profiles: `agent` has Claude Code's tools, and `plain` has none.

    `compacting` is like plain, and summarises conversations that have become too long.
    """
    passed = {
        name: value
        for name, value in environment.items()
        if any(fnmatchcase(name, pattern) for pattern in (*PASSED, *settings.claude_env_pass))
    }
    retries = {RETRIES: str(settings.claude_code_max_retries)}
    fixed = {**QUIET, **CLOSED, **FAITHFUL, **RUNTIME, **retries}
    # Variables that an operator passes on by name override these.
    profiles = (
        _agent(settings, fixed, passed),
        _plain(settings, fixed, passed),
        _compacting(settings, fixed, passed),
    )
    return {profile.name: profile for profile in profiles}


def _agent(settings: Settings, fixed: Mapping[str, str], passed: Mapping[str, str]) -> Profile:
    mode = initial_mode(settings)
    additions = read_additions(settings)
    user = unix_user.find_optional(settings.claude_user)
    return Profile(
        name="agent",
        arguments=(
            *_arguments(settings),
            "--tools",
            ",".join(settings.claude_tools),
            *_denials(settings, forks=not additions.subagents),
            "--permission-mode",
            mode,
            *permission_prompt.ARGUMENTS,
            *_settings_argument(settings, additions, _secrets(passed)),
        ),
        variables={
            **fixed,
            **AGENT,
            **_mcp(settings),
            **passed,
            **(SUBAGENTS if additions.subagents else {}),
            **(SKILL_TOOL if {"Skill", "default"} & {*settings.claude_tools} else {}),
            **(SKILLS if additions.skills else {}),
            **({"HOME": user.home} if user else {}),
        },
        # With several callers, each turn is moved to its caller's directory.
        cwd=None if settings.api_keys_file else settings.claude_cwd or None,
        pooled=True,
        has_tools=bool(settings.claude_tools or settings.mcp_config or settings.mcp_caller_hosts),
        mode=mode,
        reads_only=reads_only(settings),
        sandboxed=settings.claude_sandbox,
        user=user,
        mcp_timeout=settings.mcp_timeout / 1000,
        mcp_tool_timeout=settings.mcp_tool_timeout / 1000,
        first_event_timeout=settings.first_event_timeout,
        connects=bool(settings.mcp_config),
        additions=additions,
    )


def _secrets(passed: Mapping[str, str]) -> list[str]:
    """Return the names of the variables that hold secrets."""
    return sorted(name for name in passed if any(fnmatchcase(name, each) for each in SECRET))


def _settings_argument(
    settings: Settings, additions: Additions, secrets: Iterable[str]
) -> tuple[str, ...]:
    """Return the argument with Claude Code's settings, of which it heeds only one."""
    own = {
        **({"sandbox": sandbox.sandbox(secrets)} if settings.claude_sandbox else {}),
        **(permission_prompt.SETTINGS if reads_only(settings) else {}),
        **({"disableSkillShellExecution": True} if additions.skills else {}),
    }
    return ("--settings", json.dumps(own)) if own else ()


def _denials(settings: Settings, *, forks: bool) -> tuple[str, ...]:
    """Return the rules that deny. What a caller may do beyond the mode is set with each turn.

    Without *forks* an agent cannot start copies of itself.
    """
    rules = [settings.claude_disallowed_tools, "" if forks else "Agent(fork)"]
    denied = ",".join(filter(None, rules))
    return ("--disallowedTools", denied) if denied else ()


def _mcp(settings: Settings) -> dict[str, str]:
    """Return the variables that bound MCP servers, and keep the provider's key from them."""
    return {
        "CLAUDE_CODE_MCP_ALLOWLIST_ENV": "1",
        "MCP_TIMEOUT": str(settings.mcp_timeout),
        "MCP_TOOL_TIMEOUT": str(settings.mcp_tool_timeout),
    }


def _plain(settings: Settings, fixed: Mapping[str, str], passed: Mapping[str, str]) -> Profile:
    simple = not uses_cli_login(passed)
    # Without SIMPLE, which does not work with a CLI login, the model would see the budget.
    budget = ("--max-budget-usd", SMALLEST_BUDGET) if simple else ()
    # Claude Code reads them at its start alone.
    betas = ",".join(filter(None, (passed.get(BETAS), *settings.messages_betas)))
    return Profile(
        name="plain",
        arguments=(*_arguments(settings), "--tools", "", *budget),
        variables={
            **fixed,
            **PLAIN,
            **(SIMPLE if simple else {}),
            **passed,
            **({BETAS: betas} if betas else {}),
        },
        pooled=True,
        budgeted=simple,
        alike=True,
        first_event_timeout=settings.first_event_timeout,
    )


def _compacting(settings: Settings, fixed: Mapping[str, str], passed: Mapping[str, str]) -> Profile:
    plain = _plain(settings, fixed, passed)
    variables = {name: value for name, value in plain.variables.items() if name != COMPACT}
    return Profile("compacting", (*_arguments(settings), "--tools", ""), variables)


def _arguments(settings: Settings) -> tuple[str, ...]:
    return (
        *("--output-format", "stream-json", "--input-format", "stream-json", "--verbose"),
        *("--include-partial-messages", "--no-session-persistence", "--strict-mcp-config"),
        *("--setting-sources", settings.claude_setting_sources),
    )
