"""The locksmith: puts keys into the keys file and takes them out, and leaves the rest as it is."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AbstractTable, InlineTable

from wrapper.auth.key_file import KeysError, document, hash_of, principals, read
from wrapper.schemas.keys import CEILINGS, PREFIX, check_name


def add(
    path: str | Path, name: str, new_secret: Callable[[], str] = lambda: secrets.token_urlsafe(32)
) -> str:
    """Return a new key for *name*, whose hash now stands in the file; it is made if need be.

    Raises KeysError, and changes nothing, for a name that is taken or is none, or a broken file.
    """
    try:
        check_name(name)
    except ValueError as error:
        raise KeysError([str(error)]) from None
    key = f"{PREFIX}{new_secret()}"
    entry = {"sha256": hash_of(key)}
    with _locked(path, make=True) as target:
        text = (read(target) if target.exists() else "") or head()
        before = _valid(text)
        if name in before:
            raise KeysError([f"there is a key {name} already; revoke it, or choose another name"])
        _replace(target, _edited(_with, text, name, entry), before | {name: entry})
    return key


def remove(path: str | Path, name: str) -> None:
    """Take the key of *name* out of the file.

    Raises KeysError, and changes nothing, where there is no such key, or the file is broken.
    """
    with _locked(path) as target:
        text = read(target)
        rest = _valid(text)
        if rest.pop(name, None) is None:
            raise KeysError(["there is no key of that name; `keys list` shows the names"])
        _replace(target, _edited(_without, text, name), rest)


def head() -> str:
    """Return how a new file begins: what it is, and every ceiling with its meaning."""
    width = max(map(len, CEILINGS))
    rows = (f"#   {name:<{width}}  {meaning}\n" for name, meaning in CEILINGS.items())
    return (
        "# Who may call the gateway, and what each may do at most. It reads this file again when\n"
        "# it has changed. `flask --app wsgi gateway keys new NAME` adds a key and shows it once;\n"
        "# only its hash is kept. Below the hash may stand these; what is left out sets no limit:\n"
        f"#\n{''.join(rows)}\n[keys]\n\n"
    )


@contextlib.contextmanager
def _locked(path: str | Path, make: bool = False) -> Iterator[Path]:
    """Give the file that *path* means, which may be a link, while no other command changes it.

    Its directory is locked: the file itself is another one after each change.
    """
    target = Path(os.path.realpath(Path(path).expanduser()))
    try:
        if make:
            target.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield target
        finally:
            os.close(folder)
    except OSError as error:
        mend = f"see that {target.parent} is there, and that the user {os.getuid()} may write it"
        raise KeysError([f"{target} cannot be changed ({error.strerror}); {mend}"]) from None


def _valid(text: str) -> dict[str, Any]:
    """Return the tables of all keys by their names; raises KeysError for a broken *text*."""
    found = document(text)
    # Whether ALLOW_BYPASS is set is for the gateway to say, which knows its settings.
    principals(found)
    return dict(found["keys"])


def _edited(edit: Callable[..., str], *arguments: Any) -> str:
    try:
        return edit(*arguments)
    except (TOMLKitError, ValueError):
        return ""  # which is not what was meant, and is told as that


def _with(text: str, name: str, entry: dict[str, str]) -> str:
    toml = tomlkit.parse(text)
    keys = _table(toml["keys"])
    table = tomlkit.inline_table() if isinstance(keys, InlineTable) else tomlkit.table()
    table.update(entry)
    keys.append(name, table)
    return toml.as_string()


def _without(text: str, name: str) -> str:
    toml = tomlkit.parse(text)
    keys = _table(toml["keys"])
    kept = _tail(_table(keys[name]))
    names = list(keys)
    after = names[names.index(name) + 1 :]
    keys.remove(name)
    if after:
        trivia = _table(keys[after[0]]).trivia
        trivia.indent = kept + trivia.indent
        kept = ""
    rest = toml.as_string() + kept
    # A file without it would pass for broken.
    return rest if "keys" in tomlkit.parse(rest) else f"{rest}\n[keys]\n"


def _tail(table: AbstractTable) -> str:
    """Return the comments and empty lines that end a *table*: they belong to what comes next."""
    kept = ""
    for key, item in table.value.body:
        kept = kept + item.as_string() if key is None else ""
    return kept


def _table(item: Any) -> AbstractTable:
    if not isinstance(item, AbstractTable):
        raise TOMLKitError
    return item


def _replace(target: Path, text: str, meant: dict[str, Any]) -> None:
    """Put *text* in the file's place at once, with its mode and owner, if it says what is *meant*.

    Whoever reads the file finds the old text or the new one, and never a part.
    """
    if not _says(text, meant):
        raise KeysError(["its tables cannot be changed by a command; write each as [keys.NAME]"])
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


def _says(text: str, meant: dict[str, Any]) -> bool:
    try:
        return document(text) == {"keys": meant}
    except KeysError:
        return False
