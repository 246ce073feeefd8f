"""The footing: whether this machine bears the confinement that the settings ask for."""

from __future__ import annotations

import functools
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from wrapper.errors import BadGateway
from wrapper.services.claude.isolation import sandbox, unix_user
from wrapper.services.claude.isolation.unix_user import UnixUser
from wrapper.services.claude.isolation.workspaces import make_parent
from wrapper.services.claude.login import credentials_file, uses_cli_login
from wrapper.services.claude.processes import profiles
from wrapper.services.permissions import confinement
from wrapper.settings import Settings, SettingsError


def check(settings: Settings, environment: Mapping[str, str]) -> None:
    """Raise SettingsError, with all mistakes, where commands would not be held as asked."""
    found = [*confinement.mistakes(settings), *_of_user(settings, environment)]
    if settings.claude_sandbox and not found:
        found += _of_sandbox(settings, environment)
    if found:
        raise SettingsError(found)


def _of_sandbox(settings: Settings, environment: Mapping[str, str]) -> Iterator[str]:
    """Yield why there can be no sandbox, each with its mend."""
    temporary = tempfile.gettempdir()
    if len(temporary) > sandbox.LONGEST_TMPDIR:
        yield (
            f"TMPDIR: {temporary} is too long a path for the sandbox's sockets; set one of at most "
            f"{sandbox.LONGEST_TMPDIR} characters"
        )
    if why := sandbox.why_not(environment.get("PATH"), unix_user.of(settings.claude_user)):
        yield f"CLAUDE_SANDBOX: {why}"


def _of_user(settings: Settings, environment: Mapping[str, str]) -> Iterator[str]:
    """Yield why CLAUDE_USER cannot be what agents run as, each with its mend."""
    name = settings.claude_user
    if not name:
        return
    try:
        user = unix_user.find(name)
    except KeyError:
        yield f"CLAUDE_USER: there is no user {name}; make it: useradd --system {name}"
        return
    if user.uid in (0, os.geteuid()):
        yield f"CLAUDE_USER: from {name} nothing would be kept; name a user without rights"
    elif os.geteuid() != 0:
        yield "CLAUDE_USER: only root can run processes as another user; start the gateway as root"
    else:
        yield from _out_of_reach(user, settings, environment)
        yield from _within_reach(user, settings)
        yield from _replaceable(user, settings, environment)


def _out_of_reach(
    user: UnixUser, settings: Settings, environment: Mapping[str, str]
) -> Iterator[str]:
    """Yield what the user has to get to, and cannot."""
    if uses_cli_login(environment) and not environment.get("CLAUDE_CODE_OAUTH_TOKEN"):
        kept = credentials_file(environment)
        yield (
            f"CLAUDE_USER: {user.name} cannot use the login in {kept}; "
            "set CLAUDE_CODE_OAUTH_TOKEN (claude setup-token) or ANTHROPIC_API_KEY"
        )
    try:
        binary = profiles.find_binary(settings, environment.get("PATH"))
        if not user.can("x", binary):
            yield (
                f"CLAUDE_CLI_PATH: {user.name} (CLAUDE_USER) cannot run {binary}; install Claude "
                "Code where it can, or let it pass through the directories above"
            )
    except BadGateway:  # which is told of where processes are started
        pass
    for setting, folder in _folders(settings):
        try:
            if setting == "SESSION_DIR":  # made by others, it could be one to be shut out of
                make_parent(folder, user)
        except OSError as error:
            yield f"{setting}: {folder} cannot be made ({error.strerror}); set another"
            continue
        if not user.can("x", folder):
            yield (
                f"{setting}: {user.name} (CLAUDE_USER) cannot get into {folder}; let it pass "
                f"(chmod o+x {_shut(user, folder)}), or set another"
            )


def _shut(user: UnixUser, folder: Path) -> Path:
    """Return the first directory on the way to *folder* that the user cannot go through."""
    way = (*reversed(folder.parents), folder)
    return next(one for one in way if not user.can("x", one))


def _folders(settings: Settings) -> Iterator[tuple[str, Path]]:
    yield "TMPDIR", Path(tempfile.gettempdir())
    if settings.claude_cwd:
        yield "CLAUDE_CWD", Path(settings.claude_cwd).resolve()
    else:
        yield "SESSION_DIR", Path(settings.session_dir).expanduser().absolute()


def _within_reach(user: UnixUser, settings: Settings) -> Iterator[str]:
    """Yield what of the gateway's own the user could read."""
    files = {
        "API_KEYS_FILE": settings.api_keys_file,
        "USAGE_DB": settings.usage_db,
        ".env": ".env",
    }
    for what, name in files.items():
        path = Path(name).expanduser().absolute()
        if name and path.is_file() and user.can("r", path):
            yield f"{what}: {user.name} (CLAUDE_USER) can read {path}; chmod 600 {path}"


def _replaceable(
    user: UnixUser, settings: Settings, environment: Mapping[str, str]
) -> Iterator[str]:
    """Yield what the user could put something else in the place of, which root would then use."""
    used = {
        "API_KEYS_FILE": settings.api_keys_file,
        "USAGE_DB": settings.usage_db,
        ".env": ".env",
        "TMPDIR": tempfile.gettempdir(),
        "SESSION_DIR": "" if settings.claude_cwd else settings.session_dir,
    }
    with suppress(BadGateway):
        used["CLAUDE_CLI_PATH"] = profiles.find_binary(settings, environment.get("PATH"))
    can_replace = functools.cache(functools.partial(_can_replace, user))
    for what, name in used.items():
        path = Path(name).expanduser().absolute()
        way = (path, *path.parents, path.resolve(), *path.resolve().parents) if name else ()
        if place := next(filter(can_replace, way), None):
            yield (
                f"{what}: {user.name} (CLAUDE_USER) can write to {place}, and so replace {path}; "
                "take that right away (chown root, chmod go-w), or set another path"
            )


def _can_replace(user: UnixUser, place: Path) -> bool:
    """Say whether the user can change what is at *place*.

    In a directory like /tmp nobody can replace what is another user's.
    """
    if not place.exists() or place.stat().st_mode & stat.S_ISVTX:
        return False
    return user.can("w", place)
