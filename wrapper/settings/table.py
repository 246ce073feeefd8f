"""The table of settings."""

from __future__ import annotations

from dataclasses import dataclass

from marshmallow import validate

from wrapper.settings import masking, parsers
from wrapper.settings.capacity import turns_at_once
from wrapper.settings.claude_tools import TOOLS
from wrapper.settings.columns import (
    CENTURY,
    between,
    choice,
    flag,
    has_home,
    integer,
    listing,
    milliseconds,
    moment,
    not_empty,
    not_negative,
    positive,
    seconds,
    seconds_or_none,
    text,
)

PERMISSION_MODES = ("default", "acceptEdits", "ask", "dontAsk", "plan", "bypassPermissions")
# Parameters that may be ignored: without them, the answer still answers the request.
IGNORABLE = (
    *("audio", "cache_control", "frequency_penalty", "logit_bias", "logprobs", "metadata"),
    *("modalities", "moderation", "prediction", "presence_penalty", "prompt_cache_key"),
    *("prompt_cache_options", "prompt_cache_retention", "reasoning_effort", "safety_identifier"),
    *("seed", "service_tier", "store", "temperature", "thinking", "top_k", "top_logprobs"),
    *("top_p", "user", "verbosity", "web_search_options"),
)

TRIALS_DIR = "~/.cache/claude-code-gateway"
FILES_DIR = "~/.local/state/claude-code-gateway/files"
SESSION_DIR = "~/.local/state/claude-code-gateway/sessions"
# CLAUDE_USER must be able to enter the parent directories, which hold none of the gateway's state.
SESSION_DIR_OF_USER = "/var/lib/claude-code-gateway-sessions"


@dataclass(frozen=True)
class Settings:
    """What an operator may choose. The environment has each field under its name in capitals."""

    host: str = text("127.0.0.1", "Address to listen on.", parse=parsers.host)
    port: int = integer(8000, "Port to listen on.", validate.Range(min=0, max=65535))
    api_key: str = text(
        "",
        "The key that callers must send. If HOST is not loopback, set it or API_KEYS_FILE.",
        parse=parsers.key,
        secret=masking.whole,
    )
    api_keys_file: str = text(
        "", "TOML file with a key and ceilings for each caller; `keys new` writes it.", has_home
    )
    cors_origins: tuple[str, ...] = listing(
        parsers.origins,
        (),
        "Web origins that may call: a comma-separated or JSON list, or none. Default: * (all) "
        "with a key, none without one. The first label of a host, and a port, may be *.",
    )
    console: bool = flag(True, "Whether the web console is served at /console.")
    wrapper_engine: str = text(
        "claude",
        "The engine: claude, or the name of one that an installed package offers.",
        not_empty,
        parse=parsers.words(("claude",)),
    )
    default_model: str = text("sonnet", "The model for requests that name none.", not_empty)
    model_aliases: tuple[tuple[str, str], ...] = listing(
        parsers.pairs, (), "Other names for models: gpt-4o=sonnet,gpt-4o-mini=haiku."
    )
    legacy_models: str = choice(
        "remap",
        "remap (a retired model runs its family's current one) or strict (its name goes upstream "
        "unchanged).",
        ("remap", "strict"),
    )
    strict_params: bool = flag(
        False, "Whether to refuse what cannot be done exactly as asked, instead of reporting it."
    )
    retry_bad_answers: bool = flag(
        True,
        "Whether to ask the model once more, within the turn, if its answer lacks the tool call or "
        "the JSON that the request demands.",
    )
    ignore_params: tuple[str, ...] = listing(
        parsers.names,
        (),
        "Parameters that are ignored and named in x-ignored-params, instead of refused with 400, "
        "such as logprobs,logit_bias.",
    )
    messages_betas: tuple[str, ...] = listing(
        parsers.names,
        (),
        "Betas of Anthropic's API for all requests of the plain profile, beside those that Claude "
        "Code sends: advanced-tool-use-2025-11-20. Not with Bedrock and Vertex AI.",
    )
    default_profile: str = choice(
        "agent",
        "The profile for requests that name none: agent (with Claude Code's tools) or plain "
        "(without). plain suits chat interfaces and clients with tools of their own.",
        ("agent", "plain"),
    )
    messages_server_tools: tuple[str, ...] = listing(
        parsers.names,
        (),
        "The provider's own tools that requests of the Messages API may offer the model, such as "
        "web_search,web_fetch. They run at the provider and cost money. Default: none.",
    )
    login_expires_at: str = moment(
        "When the gateway's login at the provider ends, for a token that does not say so itself, "
        "such as CLAUDE_CODE_OAUTH_TOKEN: 2027-06-30, or a time.",
    )
    login_warning_hours: int = integer(
        72, "Hours before the end of the login from which the gateway warns of it.", not_negative
    )
    pool_size: int = integer(2, "Warm processes kept for the default profile.", not_negative)
    pool_size_other: int = integer(1, "Warm processes kept for the other profile.", not_negative)
    pool_rehearse: bool = flag(
        True,
        "Whether an idle process is asked a question for which nothing is sent, which makes its "
        "first real turn faster. Each new Claude Code has to pass a trial first.",
    )
    trials: bool = flag(
        True,
        "Whether each new Claude Code is tried before it serves, on loopback and with a made-up "
        "key. Otherwise nothing checks that it takes text verbatim and keeps files from callers.",
    )
    trials_dir: str = text(
        TRIALS_DIR,
        "Holds the results of these trials, so that each Claude Code is tried once.",
        has_home,
    )
    pool_recycle: str = choice(
        "auto",
        "Whether a process whose turn used no tools is cleared and runs further turns of its key. "
        "auto and true: yes, once a trial has shown that nothing of a turn stays with this Claude "
        "Code; with CLAUDE_SETTING_SOURCES only those of the profile plain.",
        ("auto", "true", "false"),
    )
    recycle_max_turns: int = integer(
        100,
        "Turns after which a process is cleared no more; its memory grows with each.",
        positive,
    )
    recycle_max_age: int = integer(
        3600,
        "Seconds after its start from which a process is cleared no more, so that a Claude Code "
        "that was replaced serves no longer.",
        positive,
    )
    boot_timeout: int = integer(30, "Seconds that a process may take to start.", seconds)
    max_concurrent_turns: int = integer(
        0,
        "Turns that may run at once. 0: as many as memory, at 230 MiB each, and cores allow.",
        not_negative,
    )
    max_queue: int = integer(
        64, "Requests that may wait until a turn can run; further ones get 429.", not_negative
    )
    queue_timeout: int = integer(30, "Seconds that a request may wait so; then 429.", seconds)
    max_timeout: int = integer(
        600_000, "Milliseconds that a turn may take; then 504.", milliseconds
    )
    background_timeout: int = integer(
        3_600_000,
        "Milliseconds that the turn of a response in the background may take, in place of "
        "MAX_TIMEOUT.",
        milliseconds,
    )
    first_event_timeout: int = integer(
        300,
        "Seconds that the model may take to begin its answer, once the turn has a process; then "
        "504, or the next fallback model. 0: as long as MAX_TIMEOUT.",
        seconds_or_none,
    )
    client_timeout: int = integer(
        30,
        "Seconds that a client may take to send a request, or leave an answer unread, before its "
        "connection is closed.",
        seconds,
    )
    graceful_timeout: int = integer(
        30, "Seconds that running turns may take to finish at shutdown.", seconds
    )
    claude_cli_path: str = text(
        "",
        "Path of the claude binary. Default: the first one that is new enough, in PATH or else in "
        "claude-agent-sdk.",
    )
    claude_code_max_retries: int = integer(
        2,
        "How often Claude Code retries after 429 and 5xx; it never waits longer than 10 s.",
        not_negative,
    )
    claude_tools: tuple[str, ...] = listing(
        parsers.tools, TOOLS, "Claude Code's tools in the agent profile: a list, or none."
    )
    claude_allowed_tools: str = text("", "Permission rules that allow, in Claude Code's syntax.")
    claude_disallowed_tools: str = text("", "Permission rules that deny, in Claude Code's syntax.")
    claude_subagents: tuple[str, ...] = listing(
        parsers.names,
        (),
        "Subagents that agents may hand tasks to: names in CLAUDE_SUBAGENTS_FILE. They need the "
        "tool Agent in CLAUDE_TOOLS.",
    )
    claude_subagents_file: str = text(
        "", "JSON file of subagents, in the format of Claude Code's --agents."
    )
    claude_skills: tuple[str, ...] = listing(
        parsers.names,
        (),
        "Skills and slash commands that agents may use: names in CLAUDE_SKILLS_DIR. They need the "
        "tool Skill in CLAUDE_TOOLS.",
    )
    claude_skills_dir: str = text(
        "", "Directory like .claude, with skills/NAME/SKILL.md and commands/NAME.md.", has_home
    )
    claude_permission_mode: str = choice(
        "acceptEdits",
        f"Claude Code's permission mode: {', '.join(PERMISSION_MODES)}. ask is default, but tools "
        "that need approval wait for the caller's.",
        PERMISSION_MODES,
    )
    allow_bypass: bool = flag(False, "Confirms CLAUDE_PERMISSION_MODE=bypassPermissions.")
    claude_sandbox: bool = flag(
        False,
        "Whether agents' commands run in Claude Code's sandbox, which needs bubblewrap and socat.",
    )
    claude_user: str = text(
        "", "Unix user that agents' processes run as; the gateway must then run as root."
    )
    allow_unsandboxed_bash: bool = flag(
        False,
        "Whether Bash may do all that the permission rules allow, without CLAUDE_SANDBOX or "
        "CLAUDE_USER.",
    )
    claude_cwd: str = text(
        "", "Directory that agents work in. Default: an empty one for each process."
    )
    claude_setting_sources: str = text(
        "", "Claude Code's settings files to read: user, project, local. Default: none."
    )
    claude_env_pass: tuple[str, ...] = listing(
        parsers.names,
        (),
        "Further environment variables for Claude Code; they override those that the gateway sets.",
    )
    mcp_config: str = text(
        "",
        "JSON file of MCP servers for agents, in Claude Code's own format (mcpServers).",
        has_home,
    )
    mcp_default_servers: tuple[str, ...] = listing(
        parsers.names,
        (),
        "MCP servers for agents' requests that name none: names, or patterns with *, of those that "
        "the caller may use.",
    )
    mcp_caller_hosts: tuple[str, ...] = listing(
        parsers.names,
        (),
        "Hosts of MCP servers that requests may bring: names, or patterns with *. The hosts must "
        "have public addresses. Default: none.",
    )
    mcp_private_hosts: tuple[str, ...] = listing(
        parsers.names,
        (),
        "Names of such hosts that may have other addresses, such as loopback or private ones.",
    )
    mcp_timeout: int = integer(
        10_000,
        "Milliseconds that an MCP server may take to connect; then the turn fails.",
        milliseconds,
    )
    mcp_tool_timeout: int = integer(
        60_000, "Milliseconds that a tool of an MCP server may take.", milliseconds
    )
    usage_db: str = text(
        "~/.local/state/claude-code-gateway/usage.db",
        "SQLite file that records usage and cost.",
        validate.And(not_empty, has_home),
    )
    jobs_db: str = text(
        "~/.local/state/claude-code-gateway/jobs.db",
        "SQLite file of what runs in the background, if SESSION_STORE is no Redis.",
        validate.And(not_empty, has_home),
    )
    background_turns: int = integer(
        -1,
        "Jobs that each process runs in the background at once; 0: none, as another process does. "
        "-1: one less than MAX_CONCURRENT_TURNS.",
        between(-1),
    )
    max_jobs_of_key: int = integer(
        1000,
        "Background responses and batches of one key that are kept, ended ones included; then 429.",
        positive,
    )
    jobs_max_bytes: int = integer(
        256 * 1024**2,
        "Bytes that the requests of one key's background responses may have together until they "
        "end; then 429. What is shown of a request, such as its instructions, counts once more, "
        "and as long as the response is kept.",
        positive,
    )
    usage_required: bool = flag(
        False, "Whether turns are refused with 503 while usage cannot be recorded."
    )
    request_log_days: int = integer(
        30,
        "Days that finished requests are kept for the console, in USAGE_DB or Redis; 0: none.",
        between(0, CENTURY // 86_400),
    )
    budget_max_turns: int = integer(
        50,
        "Rounds of tool use for a request whose key has a budget, if neither sets a number.",
        positive,
    )
    approval_timeout: int = integer(
        600, "Seconds that a tool waits for approval; then it is denied.", seconds
    )
    max_approvals: int = integer(
        16,
        "Tools that may wait for approval, each with a process of 230 MiB; others are denied.",
        not_negative,
    )
    max_approvals_of_key: int = integer(
        8, "Tools that may wait for approval of one key; others are denied.", not_negative
    )
    webhook_url: str = text(
        "",
        "URL that gets the operator's events, such as budgets that are spent and approvals that "
        "wait (docs/webhooks.md). A key's own is in API_KEYS_FILE.",
        secret=masking.login_of_url,
    )
    webhook_secret: str = text(
        "",
        "Signs these events: whsec_ and the base64 of 24 to 64 bytes. It is needed with "
        "WEBHOOK_URL.",
        parse=parsers.key,
        secret=masking.whole,
    )
    webhook_private_hosts: tuple[str, ...] = listing(
        parsers.names,
        (),
        "Names of hosts of webhooks that may have addresses that are not public, and be without "
        "TLS.",
    )
    redis_url: str = text(
        "",
        "Redis that counts rates and usage for several gateways, instead of memory and USAGE_DB: "
        "redis://HOST:PORT/0.",
        secret=masking.login_of_url,
    )
    session_store: str = text(
        "memory",
        "Where sessions and responses are kept: memory (of one worker), a Redis "
        "(redis://HOST:PORT/0), or none.",
        parse=parsers.words(("memory", "none")),
        secret=masking.login_of_url,
    )
    session_ttl: int = integer(
        3600,
        "Seconds that a session is kept after its last turn, and a response after its last use.",
        between(1, CENTURY),
    )
    session_wait: int = integer(
        30, "Seconds that a turn waits for another turn of its session; then 409.", seconds_or_none
    )
    session_max_bytes: int = integer(
        8 * 1024**2,
        "Bytes that a session may have; then 413. A response that would have more, with those that "
        "it continues, is not kept.",
        positive,
    )
    sessions_max_bytes: int = integer(
        128 * 1024**2,
        "Bytes that all sessions in memory may have together; the responses in memory may have as "
        "many.",
        positive,
    )
    max_sessions: int = integer(
        10_000,
        "Sessions in memory, and responses in memory; beyond that, the least recently used one is "
        "dropped.",
        positive,
    )
    responses_store: str = choice(
        "always",
        "Which responses are kept: always (unless the request says store: false), request (only "
        "if it says store: true), or never.",
        ("always", "request", "never"),
    )
    session_dir: str = text(
        "",
        "Holds a directory for the agents of each session, unless CLAUDE_CWD is set. Default: "
        f"{SESSION_DIR}; with CLAUDE_USER {SESSION_DIR_OF_USER}.",
        has_home,
    )
    files_dir: str = text(
        "",
        "Holds uploaded files and the results of batches, unless SESSION_STORE is a Redis, which "
        f"then holds them if this is not set. Default: {FILES_DIR}.",
        has_home,
    )
    file_max_bytes: int = integer(512 * 1024**2, "Bytes that a file may have; then 413.", positive)
    files_max_bytes: int = integer(
        4 * 1024**3, "Bytes that the files of a key may have together; then 429.", positive
    )
    files_ttl: int = integer(
        30 * 86_400,
        "Seconds that a file is kept; its upload may ask for fewer.",
        between(3600, CENTURY),
    )
    max_parked: int = integer(
        8, "Parked processes: kept after a turn for the next one of its conversation.", not_negative
    )
    parked_idle: int = integer(900, "Seconds that a process may stay parked.", positive)
    parked_max_rss: int = integer(600, "MiB of memory that a parked process may have.", positive)
    log_level: str = choice(
        "info",
        "The least severe level that is logged: debug, info, warning or error.",
        ("debug", "info", "warning", "error"),
    )
    log_format: str = choice("console", "console or json.", ("console", "json"))
    log_prompts: bool = flag(
        False, "Whether the log and finished requests may contain what callers wrote."
    )

    def __post_init__(self) -> None:
        if not self.max_concurrent_turns:
            # Code may pass values of wrong types, which are reported later.
            pools = [n for n in (self.pool_size, self.pool_size_other) if isinstance(n, int)]
            turns = turns_at_once(sum(pools))
            object.__setattr__(self, "max_concurrent_turns", turns)
        if self.background_turns == -1 and isinstance(self.max_concurrent_turns, int):
            object.__setattr__(self, "background_turns", max(1, self.max_concurrent_turns - 1))
        if not self.session_dir:
            default = SESSION_DIR_OF_USER if self.claude_user else SESSION_DIR
            object.__setattr__(self, "session_dir", default)

    @property
    def needs_key(self) -> bool:
        """Return whether callers must send a key."""
        return bool(self.api_key or self.api_keys_file)
