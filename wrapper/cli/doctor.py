"""Find out whether a gateway can serve on this machine now, and if not, what to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from wrapper import errors, host
from wrapper.cli.address import check_address
from wrapper.errors import ApiError
from wrapper.gateway import Gateway
from wrapper.routes.chat import complete
from wrapper.services.claude.errors.setup_errors import SetupError
from wrapper.services.claude.login import base_url
from wrapper.services.claude.login.login import detect_login
from wrapper.services.claude.processes.binary import NoBinary, choose
from wrapper.services.claude.processes.trials.table import check_of
from wrapper.services.messages.message import ChatMessage
from wrapper.services.permissions.confinement import confinement
from wrapper.services.principal import Caller
from wrapper.services.request import TurnRequest
from wrapper.settings import Settings, SettingsError, environment, explain, load, warnings
from wrapper.start_checks import start_checks
from wrapper.storage_checks import Finding, Level, check_storage, check_temporary_directory

TURN_SECONDS = 90.0
# The pause before the next look at whether processes have booted.
POLL_SECONDS = 0.1
QUESTION = TurnRequest((ChatMessage("user", ("Answer with the one word OK.",)),), profile="plain")

# What to do if the turn fails with one of these errors.
_REMEDIES: dict[type[ApiError], str] = {
    errors.PermissionDenied: "permit the login to use the model, use another login, or check the "
    "proxies (HTTPS_PROXY) if one of them refuses",
    errors.ModelNotFound: "set DEFAULT_MODEL to a model that the login may use, and check "
    "ANTHROPIC_BASE_URL if it is set",
    errors.InvalidRequest: "set DEFAULT_MODEL to a model that accepts the request",
    errors.RateLimited: "wait, or raise the limit at the provider",
    errors.Overloaded: "wait: the provider is overloaded",
}
# For other errors, something between here and the model's API is probably broken.
_CHECK_NETWORK = "check the network, the proxies, and ANTHROPIC_BASE_URL if it is set"


def examine(gateway: Gateway) -> Iterator[Finding]:
    """Check *gateway*. This starts its engine and runs one turn; the caller closes the gateway."""
    start = [*_examine_start(gateway.settings)]
    yield from (*start, *_examine_machine(gateway.settings))
    if _fails(start):
        yield Finding("turn", Level.FAILED, "not tried, since the server does not start")
        return
    status = gateway.engine.describe()
    processes = [_cli(status["cli"]), *_other_profiles(gateway), *_trials(gateway)]
    yield from (*processes, _login(status), _model_api(environment()))
    if processes[0].level is Level.FAILED:
        yield Finding("turn", Level.FAILED, "not tried without the CLI")
    else:
        yield _turn(gateway)


def examine_without(error: SettingsError, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Check what can be checked while wrong settings prevent a gateway."""
    try:
        settings = load()
    except SettingsError:
        yield from (*_mistakes(error), check_temporary_directory(), installed_cli(environment))
    else:  # the settings are valid, but do not fit this machine
        start = [*_examine_start(settings)]
        yield from start if _fails(start) else _mistakes(error)
        yield from _examine_machine(settings)
    login = detect_login(environment)
    yield _login({"method": login.method, "reason": login.reason, "missing": login.missing})
    yield _model_api(environment)


def _examine_start(settings: Settings) -> Iterator[Finding]:
    """Run the checks that the server runs before it starts."""
    if not host.LINUX:
        yield Finding("system", Level.WARNING, host.UNTESTED)
    yield Finding("settings", Level.OK, "all valid")
    for warning in warnings():
        yield Finding("settings", Level.WARNING, warning)
    for check in start_checks(settings):
        try:
            yield Finding(check.subject, Level.OK, check.run())
        except SettingsError as error:
            yield from _mistakes(SettingsError(explain(error.mistakes)))


def _examine_machine(settings: Settings) -> Iterator[Finding]:
    """Check what the server logs at its start, and what it meets when it binds its port."""
    yield from check_storage(settings)
    yield check_address(settings)
    yield Finding("commands", Level.OK, confinement(settings).value)


def _fails(findings: Iterable[Finding]) -> bool:
    return any(finding.level is Level.FAILED for finding in findings)


def _mistakes(error: SettingsError) -> Iterator[Finding]:
    for mistake in error.mistakes:
        subject, _, why = mistake.partition(": ")
        yield Finding(subject, Level.FAILED, why)


def installed_cli(environment: Mapping[str, str]) -> Finding:
    """Find the CLI and run it for its version, without a gateway."""
    settings = Settings(claude_cli_path=environment.get("CLAUDE_CLI_PATH", ""))
    try:
        binary = choose(settings, environment)
    except NoBinary as error:
        return Finding("claude", Level.FAILED, error.details)
    return Finding("claude", Level.OK, f"{binary.version} at {binary.path}")


def _cli(status: Mapping[str, Any]) -> Finding:
    if status["error"]:
        return Finding("claude", Level.FAILED, status["error"])
    return Finding("claude", Level.OK, f"{status['version']} at {status['path']}")


def _other_profiles(gateway: Gateway) -> Iterator[Finding]:
    """Yield why processes of the profile do not start in which no turn is tried."""
    health = _health_after(gateway, lambda health: not _booting(health.get("pools", {})))
    for name, pool in health.get("pools", {}).items():
        if pool["status"] == "failing" and name != QUESTION.profile:
            yield Finding(f"profile {name}", Level.FAILED, pool["error"])


def _trials(gateway: Gateway) -> Iterator[Finding]:
    """Say which checks this Claude Code fails, once its trials are over."""
    health = _health_after(gateway, lambda health: not _tries(health.get("trials", {})))
    for profile, trial in health.get("trials", {}).items():
        subject = f"trial {profile}"
        for check, failure in trial["failed"].items():
            follows = check_of(check).consequence.value
            yield Finding(subject, Level.WARNING, f"{check}: {failure}; {follows}")
        if not trial["failed"]:
            yield Finding(subject, Level.OK, trial["status"])


def _tries(trials: Mapping[str, Any]) -> bool:
    return any(trial["status"] == "running" for trial in trials.values())


def _health_after(gateway: Gateway, is_over: Callable[[Mapping[str, Any]], bool]) -> Any:
    """Return the engine's health once it is as expected, or after BOOT_TIMEOUT."""
    deadline = time.monotonic() + gateway.settings.boot_timeout
    while not is_over(health := gateway.engine.health()) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return health


def _booting(pools: Mapping[str, Any]) -> bool:
    return any(pool["status"] == "booting" for pool in pools.values())


def _login(status: Mapping[str, Any]) -> Finding:
    """Check the login alone; `_cli` reports a CLI that does not run."""
    error = status.get("cli", {}).get("error")
    missing = [reason for reason in status["missing"] if reason != error]
    login = f"{status['method']} ({status['reason']})"
    if missing:
        return Finding("login", Level.FAILED, "; ".join((login, *missing)))
    if warning := status.get("warning"):
        return Finding("login", Level.WARNING, f"{login}; {warning}")
    return Finding("login", Level.OK, login)


def _model_api(environment: Mapping[str, str]) -> Finding:
    """Show where the model's API is, which a mistake makes another server."""
    url, remark = base_url.describe(environment)
    if remark:
        return Finding("model API", Level.WARNING, f"{url}: {remark}")
    return Finding("model API", Level.OK, url)


def _turn(gateway: Gateway) -> Finding:
    began = time.monotonic()
    try:
        caller = Caller(gone=lambda: time.monotonic() - began > TURN_SECONDS)
        answer = complete(gateway.chat_service, QUESTION, caller)
    except errors.ClientGone:  # the doctor is the client that leaves after TURN_SECONDS
        why = f"there was no answer within {TURN_SECONDS:g} s"
        return Finding("turn", Level.FAILED, f"{why}; {_CHECK_NETWORK}")
    except errors.UpstreamAuthentication as error:
        return Finding("turn", Level.FAILED, _refused_login(error))
    except ApiError as error:
        return Finding("turn", Level.FAILED, _failed_turn(error))
    took = time.monotonic() - began
    return Finding("turn", Level.OK, f"{answer.body['model']} answered in {took:.1f} s")


def _refused_login(error: ApiError) -> str:
    """Return what to do about the login that is in force, which the error's message does not name.

    That message is for callers.
    """
    login = detect_login(environment())
    if isinstance(error, errors.NotLoggedIn):
        return f"There is no login. To do: {login.renewal}."
    why = (error.details or "The model's provider refused the gateway's own login").rstrip(".")
    return f"{why} ({login.reason}). To do: {login.renewal}."


def _failed_turn(error: ApiError) -> str:
    """Return why the turn failed and what to do, which the errors of the setup say themselves."""
    if isinstance(error, SetupError):
        return error.message
    why = (error.details or error.message).rstrip(".")
    remedies = (text for kind, text in _REMEDIES.items() if isinstance(error, kind))
    return f"{why}. To do: {next(remedies, _CHECK_NETWORK)}."
