"""Check before the start that a Claude Code is installed that can serve and confine agents."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from wrapper import host
from wrapper.services.claude import additions
from wrapper.services.claude.isolation import sandbox, unix_user
from wrapper.services.claude.isolation.unix_user import UnixUser
from wrapper.services.claude.isolation.workspaces import make_parent
from wrapper.services.claude.login import base_url
from wrapper.services.claude.login.login import credentials_file, uses_cli_login
from wrapper.services.claude.processes.binary import Binary, NoBinary, choose
from wrapper.services.permissions import confinement
from wrapper.settings import FILES_DIR, Settings, SettingsError


def check(settings: Settings, environment: Mapping[str, str]) -> Binary:
    """Return the binary to run. Raises SettingsError, with all mistakes, if it cannot serve."""
    mistakes = _mistakes(settings, environment)
    if not any(_check_user(settings)):  # else nothing can be run as that user
        mistakes += _check_binary(settings, environment)
    if mistakes:
        raise SettingsError(mistakes)
    return choose(settings, environment)


def check_environment(settings: Settings, environment: Mapping[str, str]) -> None:
    """Raise SettingsError, with all mistakes, if an installed Claude Code could not serve."""
    if mistakes := _mistakes(settings, environment):
        raise SettingsError(mistakes)


def _mistakes(settings: Settings, environment: Mapping[str, str]) -> list[str]:
    user_mistakes = [*_check_user(settings)]
    mistakes = [*confinement.mistakes(settings), *user_mistakes, *base_url.mistakes(environment)]
    mistakes += additions.mistakes_of(settings)
    if not user_mistakes:
        mistakes += _check_access(settings, environment)
    if settings.claude_sandbox and not mistakes:
        mistakes += _check_sandbox(settings, environment)
    return mistakes


def _check_binary(settings: Settings, environment: Mapping[str, str]) -> Iterator[str]:
    """Yield why no claude may serve, and what to do."""
    try:
        choose(settings, environment)
    except NoBinary as error:
        yield error.details


def _check_sandbox(settings: Settings, environment: Mapping[str, str]) -> Iterator[str]:
    """Yield why the sandbox cannot work, and what to do."""
    temporary = tempfile.gettempdir()
    if host.LINUX and len(temporary) > sandbox.LONGEST_TMPDIR:
        yield (
            f"TMPDIR: {temporary} is too long a path for the sandbox's sockets; set one of at most "
            f"{sandbox.LONGEST_TMPDIR} characters"
        )
    user = unix_user.find_optional(settings.claude_user)
    if reason := sandbox.check(environment.get("PATH"), user):
        yield f"CLAUDE_SANDBOX: {reason}"


def _check_user(settings: Settings) -> Iterator[str]:
    """Yield why no process can run as CLAUDE_USER, and what to do."""
    name = settings.claude_user
    if not name:
        return
    if not host.LINUX:
        yield (
            "CLAUDE_USER: it confines agents on Linux only; leave it out (Bash then runs only "
            "commands that read), or run the gateway in a Linux container"
        )
        return
    try:
        user = unix_user.find(name)
    except KeyError:
        yield f"CLAUDE_USER: there is no user {name}; make it: useradd --system {name}"
        return
    if user.uid in (0, os.geteuid()):
        yield (
            f"CLAUDE_USER: {name} is root or the gateway's own user, from whom nothing can be "
            "hidden; name a user without rights"
        )
    elif os.geteuid() != 0:
        yield "CLAUDE_USER: only root can run processes as another user; start the gateway as root"


def _check_access(settings: Settings, environment: Mapping[str, str]) -> Iterator[str]:
    """Yield what CLAUDE_USER could not access, or could read or replace, and what to do."""
    if user := unix_user.find_optional(settings.claude_user):
        yield from _inaccessible(user, settings, environment)
        yield from _readable(user, settings)
        yield from _replaceable(user, settings, environment)


def _inaccessible(
    user: UnixUser, settings: Settings, environment: Mapping[str, str]
) -> Iterator[str]:
    """Yield what the user needs, besides the binary, and cannot access."""
    if uses_cli_login(environment) and not environment.get("CLAUDE_CODE_OAUTH_TOKEN"):
        yield (
            f"CLAUDE_USER: {user.name} cannot use the login in {credentials_file(environment)}; "
            "set CLAUDE_CODE_OAUTH_TOKEN (claude setup-token) or ANTHROPIC_API_KEY"
        )
    for setting, folder in _folders(settings):
        try:
            if setting == "SESSION_DIR":  # if others made it, they could deny access to it
                make_parent(folder, user)
        except OSError as error:
            yield f"{setting}: {folder} cannot be made ({error.strerror}); set another one"
            continue
        if not user.can("x", folder):
            yield (
                f"{setting}: {user.name} (CLAUDE_USER) cannot enter {folder}; let it pass "
                f"(chmod o+x {_first_closed(user, folder)}), or set another one"
            )


def _first_closed(user: UnixUser, folder: Path) -> Path:
    """Return the first directory on the way to *folder* that the user cannot enter."""
    way = (*reversed(folder.parents), folder)
    return next(directory for directory in way if not user.can("x", directory))


def _folders(settings: Settings) -> Iterator[tuple[str, Path]]:
    yield "TMPDIR", Path(tempfile.gettempdir())
    if settings.claude_cwd:
        yield "CLAUDE_CWD", Path(settings.claude_cwd).resolve()
    else:
        yield "SESSION_DIR", Path(settings.session_dir).expanduser().absolute()


def _readable(user: UnixUser, settings: Settings) -> Iterator[str]:
    """Yield the gateway's secret files that the user could read."""
    files = {
        "API_KEYS_FILE": settings.api_keys_file,
        "MCP_CONFIG": settings.mcp_config,
        "USAGE_DB": settings.usage_db,
        ".env": ".env",
    }
    paths = {setting: Path(name).expanduser().absolute() for setting, name in files.items() if name}
    readable = user.among("r", (path for path in paths.values() if path.is_file()))
    for setting, path in paths.items():
        if path in readable:
            yield f"{setting}: {user.name} (CLAUDE_USER) can read {path}; chmod 600 {path}"


def _replaceable(
    user: UnixUser, settings: Settings, environment: Mapping[str, str]
) -> Iterator[str]:
    """Yield files and directories that the user could replace, and root would then use."""
    paths = {
        "API_KEYS_FILE": settings.api_keys_file,
        "CLAUDE_SKILLS_DIR": settings.claude_skills_dir,
        "CLAUDE_SUBAGENTS_FILE": settings.claude_subagents_file,
        "FILES_DIR": settings.files_dir or FILES_DIR,
        "MCP_CONFIG": settings.mcp_config,
        "USAGE_DB": settings.usage_db,
        ".env": ".env",
        "TMPDIR": tempfile.gettempdir(),
        "SESSION_DIR": "" if settings.claude_cwd else settings.session_dir,
    }
    with suppress(NoBinary):  # which has been reported
        paths["CLAUDE_CLI_PATH"] = choose(settings, environment).path
    ways = {setting: _way(name) for setting, name in paths.items() if name}
    tried = {path for way in ways.values() for path in way if _replaces(path)}
    writable = user.among("w", tried)
    for setting, way in ways.items():
        if theirs := next((path for path in way if path in writable), None):
            yield (
                f"{setting}: {user.name} (CLAUDE_USER) can write to {theirs}, and so replace "
                f"{way[0]}; take that right away (chown root, chmod go-w), or set another path"
            )


def _way(name: str) -> tuple[Path, ...]:
    """Return the path called *name* and all directories above it, also behind links."""
    path = Path(name).expanduser().absolute()
    return path, *path.parents, path.resolve(), *path.resolve().parents


def _replaces(path: Path) -> bool:
    """Say whether someone who can write to *path* can replace it, or what is in it.

    In a directory like /tmp nobody can replace another user's files.
    """
    return path.exists() and not path.stat().st_mode & stat.S_ISVTX
