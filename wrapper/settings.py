"""The settings: one table of names, defaults, meanings and checks."""

from __future__ import annotations

import functools
import ipaddress
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, cast

from dotenv import dotenv_values
from environs import Env, EnvValidationError, validate

from wrapper import host as capacity
from wrapper import origins, parsers

PERMISSION_MODES = ("default", "acceptEdits", "dontAsk", "plan", "bypassPermissions")
# Parameters without which an answer is still one to what was asked.
IGNORABLE = (
    *(
        "audio",
        "cache_control",
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "metadata",
        "modalities",
    ),
    *("moderation", "prediction", "presence_penalty", "prompt_cache_key", "prompt_cache_options"),
    *("prompt_cache_retention", "reasoning_effort", "safety_identifier", "seed", "service_tier"),
    *("store", "temperature", "thinking", "top_k", "top_logprobs", "top_p", "user", "verbosity"),
    "web_search_options",
)
TOOLS = ("Read", "Write", "Edit", "Bash", "Glob", "Grep", "WebFetch", "WebSearch")

SESSION_DIR = "~/.local/state/claude-code-gateway/sessions"
# Another user can go through what is above; the gateway's own state stands beside it.
SESSION_DIR_OF_USER = "/var/lib/claude-code-gateway-sessions"

# What a process comes to hold in a long session, and what the gateway itself has.
PROCESS_BYTES = 230 * 1024**2
GATEWAY_BYTES = 256 * 1024**2
# A turn mostly waits for its model; what it costs is the start of the process after it.
TURNS_PER_CORE = 12


class SettingsError(Exception):
    """Raised when settings are wrong: every mistake, each with the name of its setting."""

    def __init__(self, mistakes: list[str]):
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


def _setting(
    kind: str,
    default: Any,
    meaning: str,
    check: Callable[..., Any] | None = None,
    secret: bool = False,
) -> Any:
    metadata = {"kind": kind, "meaning": meaning, "check": check}
    return field(default=default, metadata=metadata, repr=not secret)


_positive = validate.Range(min=1)
_not_negative = validate.Range(min=0)


@dataclass(frozen=True)
class Settings:
    """What an operator may choose. The environment's name of a field is its name in capitals."""

    host: str = _setting("str", "127.0.0.1", "Address to listen on.")
    port: int = _setting("int", 8000, "Port to listen on.", validate.Range(min=0, max=65535))
    api_key: str = _setting(
        "str",
        "",
        "The key that callers must send. It or API_KEYS_FILE where HOST is not loopback.",
        secret=True,
    )
    api_keys_file: str = _setting(
        "str", "", "A TOML file with a key and ceilings for each caller; `keys new` writes it."
    )
    cors_origins: tuple[str, ...] = _setting(
        "origins",
        (),
        "Web origins that may call: a comma-separated or JSON list, or none. By default * (all) "
        "where there is a key, and none where there is not. The first label of a host, and a port, "
        "may be *.",
    )
    wrapper_engine: str = _setting(
        "str",
        "claude",
        "What answers: claude, or the name of an engine that an installed package offers.",
        validate.Length(min=1),
    )
    default_model: str = _setting(
        "str", "sonnet", "The model where a request names none.", validate.Length(min=1)
    )
    model_aliases: tuple[tuple[str, str], ...] = _setting(
        "pairs", (), "Other names for models: gpt-4o=sonnet,gpt-4o-mini=haiku."
    )
    legacy_models: str = _setting(
        "str",
        "remap",
        "remap (a retired model runs its family's current one) or strict (it goes upstream as is).",
        validate.OneOf(("remap", "strict")),
    )
    strict_params: bool = _setting(
        "bool",
        False,
        "Whether what cannot be done just as asked is refused, and not only told of.",
    )
    retry_bad_answers: bool = _setting(
        "bool",
        True,
        "Whether a model is asked once more, within the turn, where its answer lacks the call or "
        "the JSON that was demanded.",
    )
    ignore_params: tuple[str, ...] = _setting(
        "names",
        (),
        "Parameters that are named in x-ignored-params instead of causing a 400, such as "
        "logprobs,logit_bias.",
    )
    default_profile: str = _setting(
        "str",
        "agent",
        "agent (with Claude Code's tools) or plain (without), where a request does not say; plain "
        "for chat interfaces and clients with tools of their own.",
        validate.OneOf(("agent", "plain")),
    )
    pool_size: int = _setting(
        "int", 2, "Warm processes kept for the default profile.", _not_negative
    )
    pool_size_other: int = _setting(
        "int", 1, "Warm processes kept for the other profile.", _not_negative
    )
    pool_rehearse: bool = _setting(
        "bool",
        True,
        "Whether a warm process of the profile plain goes through a turn in which nothing is sent, "
        "when there is time: its own is quick then.",
    )
    pool_recycle: bool = _setting(
        "bool",
        False,
        "Whether a process whose turn used no tools is emptied and has further turns of its key.",
    )
    boot_timeout: int = _setting("int", 30, "Seconds that a process may take to start.", _positive)
    max_concurrent_turns: int = _setting(
        "int",
        0,
        "Turns that may run at once. 0: as many as memory, at 230 MiB each, and cores allow.",
        _not_negative,
    )
    max_queue: int = _setting(
        "int", 64, "Requests that may wait for that; then 429.", _not_negative
    )
    queue_timeout: int = _setting("int", 30, "Seconds that one may wait; then 429.", _positive)
    max_timeout: int = _setting(
        "int", 600_000, "Milliseconds that a turn may take; then 504.", _positive
    )
    client_timeout: int = _setting(
        "int",
        30,
        "Seconds that a client may take to ask, or leave an answer unread; then it is left.",
        _positive,
    )
    graceful_timeout: int = _setting(
        "int", 30, "Seconds that running turns get at shutdown.", _positive
    )
    claude_cli_path: str = _setting(
        "str", "", "The claude binary. Default: from PATH, or the one in claude-agent-sdk."
    )
    claude_code_max_retries: int = _setting(
        "int",
        2,
        "How often Claude Code asks again after 429 and 5xx; it never waits for over 10 s.",
        _not_negative,
    )
    claude_tools: tuple[str, ...] = _setting(
        "tools", TOOLS, "Claude Code's tools for the agent profile: a list, or none."
    )
    claude_allowed_tools: str = _setting(
        "str", "", "Permission rules that allow, in Claude Code's syntax."
    )
    claude_disallowed_tools: str = _setting(
        "str", "", "Permission rules that deny, in Claude Code's syntax."
    )
    claude_permission_mode: str = _setting(
        "str",
        "acceptEdits",
        f"One of {', '.join(PERMISSION_MODES)}.",
        validate.OneOf(PERMISSION_MODES),
    )
    allow_bypass: bool = _setting(
        "bool", False, "Confirms CLAUDE_PERMISSION_MODE=bypassPermissions."
    )
    claude_sandbox: bool = _setting(
        "bool",
        False,
        "Whether agents' commands run in Claude Code's sandbox, which needs bubblewrap and socat.",
    )
    claude_user: str = _setting(
        "str", "", "Unix user that agents' processes run as; the gateway must be root's."
    )
    allow_unsandboxed_bash: bool = _setting(
        "bool",
        False,
        "Whether Bash may do, without either, all that the permission rules allow.",
    )
    claude_cwd: str = _setting(
        "str", "", "Directory that agents work in. Default: an empty one for each process."
    )
    claude_setting_sources: str = _setting(
        "str", "", "Claude Code's settings files to read: user, project, local. Default: none."
    )
    claude_env_pass: tuple[str, ...] = _setting(
        "names",
        (),
        "Further environment variables for Claude Code; they win over the gateway's own.",
    )
    usage_db: str = _setting(
        "str",
        "~/.local/state/claude-code-gateway/usage.db",
        "SQLite file that keeps what was spent.",
        validate.Length(min=1),
    )
    usage_required: bool = _setting(
        "bool", False, "Whether turns stop, with 503, where spending cannot be kept."
    )
    budget_max_turns: int = _setting(
        "int",
        50,
        "Rounds of tool use of a request whose key has a budget, where neither says how many.",
        _positive,
    )
    redis_url: str = _setting(
        "str",
        "",
        "Redis that keeps rates and spending instead, for several gateways: redis://HOST:PORT/0.",
        secret=True,
    )
    session_store: str = _setting(
        "str",
        "memory",
        "Where sessions are kept: memory (of one worker), a Redis (redis://HOST:PORT/0), or none.",
        secret=True,
    )
    session_ttl: int = _setting(
        "int", 3600, "Seconds that a session is kept after its last turn.", _positive
    )
    session_wait: int = _setting(
        "int",
        30,
        "Seconds that a turn waits for another one of its session; then 409.",
        _not_negative,
    )
    session_max_bytes: int = _setting(
        "int", 8 * 1024**2, "Bytes that a session may have; then 413.", _positive
    )
    sessions_max_bytes: int = _setting(
        "int", 128 * 1024**2, "Bytes that all sessions in memory may have together.", _positive
    )
    max_sessions: int = _setting(
        "int", 10_000, "Sessions in memory; the one unused for longest goes.", _positive
    )
    session_dir: str = _setting(
        "str",
        "",
        "Where each session's agents have a directory, unless CLAUDE_CWD is set. Default: "
        f"{SESSION_DIR}; with CLAUDE_USER {SESSION_DIR_OF_USER}.",
    )
    max_parked: int = _setting(
        "int",
        8,
        "Processes that stay after a turn, for what follows in its conversation.",
        _not_negative,
    )
    parked_idle: int = _setting("int", 900, "Seconds that such a process may wait.", _positive)
    parked_max_rss: int = _setting(
        "int", 600, "MiB of memory that such a process may have.", _positive
    )
    log_level: str = _setting(
        "str",
        "info",
        "debug, info, warning or error.",
        validate.OneOf(("debug", "info", "warning", "error")),
    )
    log_format: str = _setting(
        "str", "console", "console or json.", validate.OneOf(("console", "json"))
    )
    log_prompts: bool = _setting("bool", False, "Whether the log may hold what callers wrote.")

    def __post_init__(self) -> None:
        if not self.max_concurrent_turns:
            object.__setattr__(self, "max_concurrent_turns", self._capacity())
        if not self.session_dir:
            chosen = SESSION_DIR_OF_USER if self.claude_user else SESSION_DIR
            object.__setattr__(self, "session_dir", chosen)

    @property
    def needs_key(self) -> bool:
        """Say whether callers must send a key."""
        return bool(self.api_key or self.api_keys_file)

    def _capacity(self) -> int:
        """Return how many turns this machine can run at once, beside the processes kept warm."""
        most = TURNS_PER_CORE * capacity.cores()
        if (room := capacity.memory()) is not None:
            processes = (room - GATEWAY_BYTES) // PROCESS_BYTES
            most = min(most, processes - self.pool_size - self.pool_size_other)
        return max(1, most)

    def mistakes(self) -> list[str]:
        """Return what is wrong between the settings, each with its mend."""
        found = []
        if not is_loopback(self.host) and not self.needs_key:
            found.append(
                f"API_KEY: HOST={self.host} can be reached from other machines; "
                "set API_KEY or API_KEYS_FILE, or HOST=127.0.0.1"
            )
        if self.claude_permission_mode == "bypassPermissions" and not self.allow_bypass:
            found.append(
                "CLAUDE_PERMISSION_MODE: bypassPermissions lets every caller run anything; "
                "set ALLOW_BYPASS=true if that is meant"
            )
        if self.claude_cwd and not os.path.isdir(self.claude_cwd):
            found.append(f"CLAUDE_CWD: {self.claude_cwd} is not a directory; make it")
        if not self.session_store.startswith(("redis://", "rediss://", "unix://")) and (
            self.session_store not in ("memory", "none")
        ):
            found.append("SESSION_STORE: must be memory, none, or the URL of a Redis")
        found.extend(self._wrong_origins())
        if unknown := [name for name in self.ignore_params if name not in IGNORABLE]:
            found.append(
                f"IGNORE_PARAMS: {', '.join(unknown)[:200]} cannot be ignored, but only "
                f"{', '.join(IGNORABLE)}"
            )
        if self.session_max_bytes > self.sessions_max_bytes:
            found.append("SESSION_MAX_BYTES: must not be more than SESSIONS_MAX_BYTES")
        return found

    def _wrong_origins(self) -> Iterator[str]:
        if origins.NONE in self.cors_origins and len(self.cors_origins) > 1:
            yield "CORS_ORIGINS: none stands alone; leave it out, or the others"
        for origin in self.cors_origins:
            try:
                origins.patterns([origin])
            except ValueError as error:
                yield f"CORS_ORIGINS: {error}"


def load(env_file: str = ".env") -> Settings:
    """Read the settings from the environment and, where that says nothing, from *env_file*.

    Raises SettingsError with all mistakes at once.
    """
    env = Env(eager=False)
    env.read_env(env_file, recurse=False)
    env.add_parser("origins", parsers.origins)
    env.add_parser("names", parsers.names)
    env.add_parser("pairs", parsers.pairs)
    env.add_parser("tools", parsers.tools)
    values = {row.name: _read(env, row.name, row.default, row.metadata) for row in fields(Settings)}
    try:
        env.seal()
    except EnvValidationError as error:
        said = cast(Mapping[str, list[str]], error.error_messages)
        raise SettingsError([f"{name}: {' '.join(why)}" for name, why in said.items()]) from None
    settings = Settings(**values)
    if mistakes := settings.mistakes():
        raise SettingsError(mistakes)
    return settings


def environment(env_file: str = ".env") -> Mapping[str, str]:
    """Return the environment with what *env_file* adds to it; the environment wins."""
    added = {name: value for name, value in dotenv_values(env_file).items() if value is not None}
    return {**added, **os.environ}


@functools.lru_cache(1024)
def is_loopback(host: str) -> bool:
    """Say whether *host*, a name or address without port, can only mean this machine."""
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _read(env: Env, name: str, default: Any, metadata: Mapping[str, Any]) -> Any:
    parse = getattr(env, metadata["kind"])
    return parse(name.upper(), default, validate=metadata["check"])
