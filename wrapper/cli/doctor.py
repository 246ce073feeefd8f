"""Find out whether a gateway can serve on this machine now, and if not, what to do."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from wrapper import errors
from wrapper.cli.address import check_address
from wrapper.errors import ApiError
from wrapper.gateway import Gateway
from wrapper.routes.chat import complete
from wrapper.services.claude.errors import HOW_TO_LOG_IN
from wrapper.services.claude.login import detect_login
from wrapper.services.claude.processes.binary import NoBinary, choose
from wrapper.services.messages.message import ChatMessage
from wrapper.services.permissions.confinement import confinement
from wrapper.services.principal import Caller
from wrapper.services.request import ChatRequest
from wrapper.settings import Settings, SettingsError, explain, load
from wrapper.start_checks import start_checks
from wrapper.storage_checks import Finding, Level, check_storage, check_temporary_directory

TURN_SECONDS = 90.0
QUESTION = ChatRequest((ChatMessage("user", ("Answer with the one word OK.",)),), profile="plain")

# What to do if the turn fails with one of these errors.
_REMEDIES: dict[type[ApiError], str] = {
    errors.UpstreamAuthentication: HOW_TO_LOG_IN,
    errors.PermissionDenied: "permit the login to use the model, or use another login",
    errors.ModelNotFound: "set DEFAULT_MODEL to a model that the login may use",
    errors.InvalidRequest: "set DEFAULT_MODEL to a model that accepts the request",
    errors.RateLimited: "wait, or raise the limit at the provider",
    errors.Overloaded: "wait: the provider is overloaded",
}
# For other errors, something between here and the model's API is probably broken.
_CHECK_NETWORK = "check the network, the proxies, and ANTHROPIC_BASE_URL if it is set"


def examine(gateway: Gateway) -> Iterator[Finding]:
    """Check *gateway*. This starts its engine and runs one turn; the caller closes the gateway."""
    yield from _examine_machine(gateway.settings)
    status = gateway.engine.describe()
    cli = _cli(status["cli"])
    yield cli
    yield _login(status)
    if cli.level is Level.FAILED:
        yield Finding("turn", Level.FAILED, "not tried without the CLI")
    else:
        yield _turn(gateway)


def examine_without(error: SettingsError, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Check what can be checked while wrong settings prevent a gateway."""
    try:
        settings = load()
    except SettingsError:
        yield from _mistakes(error)
        yield check_temporary_directory()
        yield installed_cli(environment)
    else:  # the settings are valid, but do not fit this machine
        findings = [*_examine_machine(settings)]
        yield from findings
        if not any(finding.level is Level.FAILED for finding in findings):
            yield from _mistakes(error)
    login = detect_login(environment)
    yield _login({"method": login.method, "reason": login.reason, "missing": login.missing})


def _examine_machine(settings: Settings) -> Iterator[Finding]:
    """Check what the server checks at its start."""
    yield Finding("settings", Level.OK, "all valid")
    for check in start_checks(settings):
        try:
            yield Finding(check.subject, Level.OK, check.run())
        except SettingsError as error:
            yield from _mistakes(SettingsError(explain(error.mistakes)))
    yield from check_storage(settings)
    yield check_address(settings)
    yield Finding("commands", Level.OK, confinement(settings).value)


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


def _login(status: Mapping[str, Any]) -> Finding:
    """Check the login alone; `_cli` reports a CLI that does not run."""
    error = status.get("cli", {}).get("error")
    missing = [reason for reason in status["missing"] if reason != error]
    login = f"{status['method']} ({status['reason']})"
    level = Level.FAILED if missing else Level.OK
    return Finding("login", level, "; ".join((login, *missing)))


def _turn(gateway: Gateway) -> Finding:
    began = time.monotonic()
    try:
        caller = Caller(gone=lambda: time.monotonic() - began > TURN_SECONDS)
        answer = complete(gateway.chat_service, QUESTION, caller)
    except errors.ClientGone:  # the doctor is the client that leaves after TURN_SECONDS
        why = f"there was no answer within {TURN_SECONDS:g} s"
        return Finding("turn", Level.FAILED, f"{why}; {_CHECK_NETWORK}")
    except ApiError as error:
        remedies = (text for kind, text in _REMEDIES.items() if isinstance(error, kind))
        remedy = next(remedies, _CHECK_NETWORK)
        return Finding("turn", Level.FAILED, f"{error.message} To do: {remedy}.")
    took = time.monotonic() - began
    return Finding("turn", Level.OK, f"{answer.body['model']} answered in {took:.1f} s")
