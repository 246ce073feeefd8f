"""Find out whether a gateway can serve on this machine now, and if not, what to do."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wrapper import errors
from wrapper.auth.key_file import KeysError
from wrapper.errors import ApiError
from wrapper.gateway import Gateway
from wrapper.routes.chat import complete
from wrapper.server import ports
from wrapper.services.claude.errors import BootFailed
from wrapper.services.claude.login import HOW_TO_LOG_IN, detect_login
from wrapper.services.claude.processes import profiles
from wrapper.services.claude.processes.compatibility import check_version
from wrapper.services.messages.message import ChatMessage
from wrapper.services.permissions.confinement import confinement
from wrapper.services.principal import Caller
from wrapper.services.request import ChatRequest
from wrapper.settings import Settings, SettingsError

TURN_SECONDS = 90.0
VERSION_SECONDS = 15
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


@dataclass(frozen=True)
class Finding:
    """The result of one check. If it is not ok, the message says what to do."""

    subject: str
    ok: bool
    message: str

    def __str__(self) -> str:
        return (
            f"{'ok' if self.ok else 'FAILED':<7} {self.subject}: {' '.join(self.message.split())}"
        )


def examine(gateway: Gateway) -> Iterator[Finding]:
    """Check *gateway*. This starts its engine and runs one turn; the caller closes the gateway."""
    yield Finding("settings", True, "all valid")
    status = gateway.engine.describe()
    cli = _cli(status["cli"])
    yield cli
    yield _login(status)
    yield _turn(gateway) if cli.ok else Finding("turn", False, "not tried without the CLI")
    yield temporary_directory()
    yield _working_directory(gateway.settings.claude_cwd)
    yield Finding("commands", True, confinement(gateway.settings).value)
    yield _port(gateway.settings)


def examine_without(error: SettingsError, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Check what can be checked while wrong settings prevent a gateway."""
    in_file = isinstance(error, KeysError)  # whose message says what to do
    remedy = "" if in_file else " (a setting: correct it in the environment or in .env)"
    for mistake in error.mistakes:
        name, _, why = mistake.partition(": ")
        yield Finding(name, False, f"{why}{remedy}")
    yield installed_cli(environment)
    login = detect_login(environment)
    yield _login({"method": login.method, "reason": login.reason, "missing": login.missing})
    yield temporary_directory()


def installed_cli(environment: Mapping[str, str]) -> Finding:
    """Find the CLI and run it for its version, without a gateway."""
    settings = Settings(claude_cli_path=environment.get("CLAUDE_CLI_PATH", ""))
    try:
        path = profiles.find_binary(settings, environment.get("PATH"))
        version = _version(path)
        check_version(version)
    except (ApiError, BootFailed, OSError, subprocess.SubprocessError) as error:
        return Finding("claude", False, str(error))
    return Finding("claude", True, f"{version} at {path}")


def temporary_directory() -> Finding:
    def write() -> str:
        with tempfile.TemporaryFile() as file:
            file.write(b"x")
        return tempfile.gettempdir()

    remedy = "make it writable and free space, or set TMPDIR to another directory"
    return _writable("temporary directory", write, remedy)


def _cli(status: Mapping[str, Any]) -> Finding:
    if status["error"]:
        return Finding("claude", False, status["error"])
    return Finding("claude", True, f"{status['version']} at {status['path']}")


def _login(status: Mapping[str, Any]) -> Finding:
    """Check the login alone; `_cli` reports a CLI that does not run."""
    error = status.get("cli", {}).get("error")
    missing = [reason for reason in status["missing"] if reason != error]
    login = f"{status['method']} ({status['reason']})"
    return Finding("login", not missing, "; ".join((login, *missing)))


def _turn(gateway: Gateway) -> Finding:
    began = time.monotonic()
    try:
        caller = Caller(gone=lambda: time.monotonic() - began > TURN_SECONDS)
        answer = complete(gateway.chat_service, QUESTION, caller)
    except errors.ClientGone:  # the doctor is the client that leaves after TURN_SECONDS
        why = f"there was no answer within {TURN_SECONDS:g} s"
        return Finding("turn", False, f"{why}; {_CHECK_NETWORK}")
    except ApiError as error:
        remedies = (text for kind, text in _REMEDIES.items() if isinstance(error, kind))
        remedy = next(remedies, _CHECK_NETWORK)
        return Finding("turn", False, f"{error.message} To do: {remedy}.")
    took = time.monotonic() - began
    return Finding("turn", True, f"{answer.body['model']} answered in {took:.1f} s")


def _working_directory(path: str) -> Finding:
    if not path:
        return Finding("CLAUDE_CWD", True, "not set: each process works in a directory of its own")

    def write() -> str:
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"x")
        return path

    return _writable("CLAUDE_CWD", write, f"permit the user {os.getuid()} to write there")


def _writable(subject: str, write: Callable[[], str], remedy: str) -> Finding:
    try:
        return Finding(subject, True, f"{write()} can be written")
    except OSError as error:
        return Finding(subject, False, f"{error.strerror} ({error.filename}); {remedy}")


def _port(settings: Settings) -> Finding:
    address = f"{settings.host} port {settings.port}"
    why = ports.why_not(settings.host, settings.port)
    if why is None:
        return Finding("address", True, f"{address} is free")
    remedy = "set PORT or HOST, or stop what listens there (another gateway?)"
    return Finding("address", False, f"{address}: {why}; {remedy}")


def _version(path: str) -> str:
    process = subprocess.run(
        [path, "--version"], capture_output=True, text=True, check=True, timeout=VERSION_SECONDS
    )
    return (process.stdout.split() or [""])[0]
