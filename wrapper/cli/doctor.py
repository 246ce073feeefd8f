"""The doctor: whether a gateway could serve here and now, and if not, what to do."""

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

# What to do about an answer that did not come; else the way to the model's API is at fault.
_MENDS: dict[type[ApiError], str] = {
    errors.UpstreamAuthentication: HOW_TO_LOG_IN,
    errors.PermissionDenied: "give the login the right to use the model, or use another login",
    errors.ModelNotFound: "set DEFAULT_MODEL to a model that the login may use",
    errors.InvalidRequest: "set DEFAULT_MODEL to a model that takes the request",
    errors.RateLimited: "wait, or raise the limit at the provider",
    errors.Overloaded: "wait: the provider has too much to do",
}
_CHECK_THE_WAY = "check the network, the proxies, and ANTHROPIC_BASE_URL where it is set"


@dataclass(frozen=True)
class Finding:
    """What was looked at and what was found; where it is not `good`, with what to do."""

    what: str
    good: bool
    told: str

    def __str__(self) -> str:
        return f"{'ok' if self.good else 'FAILED':<7} {self.what}: {' '.join(self.told.split())}"


def examine(gateway: Gateway) -> Iterator[Finding]:
    """Yield what is found of *gateway*, whose engine is started, asked once, and left to close."""
    yield Finding("settings", True, "all valid")
    described = gateway.engine.describe()
    found = _cli(described["cli"])
    yield found
    yield _login(described)
    yield _turn(gateway) if found.good else Finding("turn", False, "not tried without the CLI")
    yield temporary_directory()
    yield _working_directory(gateway.settings.claude_cwd)
    yield Finding("commands", True, confinement(gateway.settings).value)
    yield _port(gateway.settings)


def examine_without(error: SettingsError, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what is found where there can be no gateway, for the settings are wrong."""
    in_file = isinstance(error, KeysError)  # which says itself what to do
    mend = "" if in_file else " (a setting: correct it in the environment or in .env)"
    for mistake in error.mistakes:
        name, _, why = mistake.partition(": ")
        yield Finding(name, False, f"{why}{mend}")
    yield installed_cli(environment)
    login = detect_login(environment)
    yield _login({"method": login.method, "reason": login.reason, "missing": login.missing})
    yield temporary_directory()


def installed_cli(environment: Mapping[str, str]) -> Finding:
    """Find the CLI and ask it for its version, without a gateway."""
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

    return _written("temporary directory", write, "free it, or set TMPDIR to one that can be used")


def _cli(described: Mapping[str, Any]) -> Finding:
    if described["error"]:
        return Finding("claude", False, described["error"])
    return Finding("claude", True, f"{described['version']} at {described['path']}")


def _login(described: Mapping[str, Any]) -> Finding:
    """Judge the login alone; a CLI that does not run has been told of."""
    error = described.get("cli", {}).get("error")
    missing = [what for what in described["missing"] if what != error]
    told = f"{described['method']} ({described['reason']})"
    return Finding("login", not missing, "; ".join((told, *missing)))


def _turn(gateway: Gateway) -> Finding:
    began = time.monotonic()
    try:
        caller = Caller(gone=lambda: time.monotonic() - began > TURN_SECONDS)
        answer = complete(gateway.chat_service, QUESTION, caller)
    except errors.ClientGone:  # we are its client
        why = f"there was no answer within {TURN_SECONDS:g} s"
        return Finding("turn", False, f"{why}; {_CHECK_THE_WAY}")
    except ApiError as error:
        mend = next((text for kind, text in _MENDS.items() if isinstance(error, kind)), None)
        return Finding("turn", False, f"{error.message} To do: {mend or _CHECK_THE_WAY}.")
    took = time.monotonic() - began
    return Finding("turn", True, f"{answer.body['model']} answered in {took:.1f} s")


def _working_directory(path: str) -> Finding:
    if not path:
        return Finding("CLAUDE_CWD", True, "not set: each process works in a directory of its own")

    def write() -> str:
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"x")
        return path

    return _written("CLAUDE_CWD", write, f"give the user {os.getuid()} the right to write there")


def _written(what: str, write: Callable[[], str], mend: str) -> Finding:
    try:
        return Finding(what, True, f"{write()} can be written")
    except OSError as error:
        return Finding(what, False, f"{error.strerror} ({error.filename}); {mend}")


def _port(settings: Settings) -> Finding:
    where = f"{settings.host} port {settings.port}"
    why = ports.why_not(settings.host, settings.port)
    if why is None:
        return Finding("address", True, f"{where} is free")
    mend = "set PORT or HOST, or end what listens there (a gateway that is running already?)"
    return Finding("address", False, f"{where}: {why}; {mend}")


def _version(path: str) -> str:
    said = subprocess.run(
        [path, "--version"], capture_output=True, text=True, check=True, timeout=VERSION_SECONDS
    )
    return (said.stdout.split() or [""])[0]
