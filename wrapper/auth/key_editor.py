"""Add keys to the keys file, remove and configure them, without changing the rest of its text."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import os
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tomlkit.exceptions import TOMLKitError

from wrapper.auth import key_text
from wrapper.auth.key_file import KeysError, document, hash_of, principals, read
from wrapper.auth.key_text import KEPT
from wrapper.schemas.keys import CEILINGS, CONFIG, PREFIX, WEBHOOK, check_name
from wrapper.settings.webhooks import SECRET_PREFIX


def add(
    path: str | Path, name: str, new_secret: Callable[[], str] = lambda: secrets.token_urlsafe(32)
) -> str:
    """Return a new key for *name*, and add its hash to the file, which is made if missing.

    If the name is invalid or taken, or the file is broken, it raises KeysError and changes nothing.
    """
    try:
        check_name(name)
    except ValueError as error:
        raise KeysError([str(error)]) from None
    key = f"{PREFIX}{new_secret()}"
    entry = {"sha256": hash_of(key)}
    with _locked(path, create=True) as target:
        text = (read(target) if target.exists() else "") or head()
        keys = _valid_keys(text)
        if name in keys:
            raise KeysError([f"the key {name} already exists; revoke it, or choose another name"])
        _replace(target, _edited(key_text.with_key, text, name, entry), keys | {name: entry})
    return key


def remove(path: str | Path, name: str) -> None:
    """Remove the key of *name* from the file.

    If it has no such key, or is broken, it raises KeysError and changes nothing.
    """
    with _locked(path) as target:
        text = read(target)
        keys = _valid_keys(text)
        if keys.pop(name, None) is None:
            raise KeysError(["no key has that name; `keys list` prints the names"])
        _replace(target, _edited(key_text.without_key, text, name), keys)


def configure(path: str | Path, name: str, config: Mapping[str, Any]) -> None:
    """Set the tool config of the key of *name*, or remove it if *config* is empty.

    If it has no such key, or is broken, it raises KeysError and changes nothing.
    """
    with _keys_with(path, name) as (target, text, keys):
        entry = {field: value for field, value in keys[name].items() if field != CONFIG}
        entry |= {CONFIG: dict(config)} if config else {}
        _replace(target, _edited(key_text.with_config, text, name, config), keys | {name: entry})


def limit(path: str | Path, name: str, ceilings: Mapping[str, Any]) -> None:
    """Give the key of *name* these ceilings and no others; its tool config and webhook stay.

    If it has no such key, or is broken, it raises KeysError and changes nothing.
    """
    with _keys_with(path, name) as (target, text, keys):
        kept = {field: keys[name][field] for field in KEPT if field in keys[name]}
        edited = _edited(key_text.with_ceilings, text, name, ceilings)
        _replace(target, edited, keys | {name: {**kept, **ceilings}})


def set_webhook(
    path: str | Path,
    name: str,
    url: str | None,
    new_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> str:
    """Return a new secret that signs the events of the key of *name*, and send them to *url*.

    Without a *url* the key gets no more events. If the file has no such key, or is broken, or the
    URL is wrong, it raises KeysError and changes nothing.
    """
    secret = f"{SECRET_PREFIX}{base64.b64encode(new_bytes(32)).decode()}"
    webhook = dict(zip(WEBHOOK, (url, secret), strict=True)) if url else {}
    with _keys_with(path, name) as (target, text, keys):
        entry = {field: value for field, value in keys[name].items() if field not in WEBHOOK}
        intended = {"keys": keys | {name: entry | webhook}}
        principals(intended)
        _replace(target, _edited(key_text.with_webhook, text, name, webhook), intended["keys"])
    return secret


def head() -> str:
    """Return the start of a new file: what it is, and every ceiling with its meaning."""
    width = max(map(len, CEILINGS))
    rows = (f"#   {name:<{width}}  {meaning}\n" for name, meaning in CEILINGS.items())
    return (
        "# The callers' keys, and what each may do at most. The gateway reads this file again\n"
        "# when it changes. `claude-code-gateway keys new NAME` adds a key, and shows it\n"
        "# once: the file has only its hash. These ceilings may follow the hash:\n"
        f"#\n{''.join(rows)}\n[keys]\n\n"
    )


@contextlib.contextmanager
def _keys_with(path: str | Path, name: str) -> Iterator[tuple[Path, str, dict[str, Any]]]:
    """Lock the file, and yield its path, its text and its keys. Raises KeysError without *name*."""
    with _locked(path) as target:
        text = read(target)
        keys = _valid_keys(text)
        if name not in keys:
            raise KeysError(["no key has that name"])
        yield target, text, keys


@contextlib.contextmanager
def _locked(path: str | Path, create: bool = False) -> Iterator[Path]:
    """Yield the file at *path*, with links resolved, while no other command can change it.

    The lock is on its directory, because each change replaces the file.
    """
    target = Path(os.path.realpath(Path(path).expanduser()))
    try:
        if create:
            target.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield target
        finally:
            os.close(folder)
    except OSError as error:
        remedy = f"make sure that {target.parent} exists and user {os.getuid()} can write there"
        raise KeysError([f"{target} cannot be changed ({error.strerror}); {remedy}"]) from None


def _valid_keys(text: str) -> dict[str, Any]:
    """Return the tables of all keys by name; raises KeysError for a broken *text*."""
    parsed = document(text)
    # Without the settings: the gateway itself checks ALLOW_BYPASS.
    principals(parsed)
    return dict(parsed["keys"])


def _edited(edit: Callable[..., str], *arguments: Any) -> str:
    try:
        return edit(*arguments)
    except (TOMLKitError, ValueError):
        return ""  # `_replace` refuses it, because it does not have the intended keys


def _replace(target: Path, text: str, intended: dict[str, Any]) -> None:
    """Replace the file's text atomically, with the same mode and owner.

    Raises KeysError if *text* does not have the *intended* keys. A reader of the file sees the old
    text or the new one, and never a part.
    """
    if not _has_keys(text, intended):
        raise KeysError(
            ["a command cannot change tables in this layout; write each as [keys.NAME]"]
        )
    descriptor, fresh = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with open(descriptor, "wb") as file:
            if target.exists():
                now = target.stat()
                os.fchown(descriptor, now.st_uid, now.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(now.st_mode))
            file.write(text.encode())
            file.flush()
            os.fsync(descriptor)
        os.replace(fresh, target)
    except BaseException:
        os.unlink(fresh)
        raise


def _has_keys(text: str, intended: dict[str, Any]) -> bool:
    try:
        return document(text) == {"keys": intended}
    except KeysError:
        return False
