"""The keys file: TOML with a hash and ceilings for each caller, read again when it changes."""

from __future__ import annotations

import hashlib
import hmac
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from marshmallow import ValidationError

from wrapper.schemas.keys import CEILINGS, SECRET, WEBHOOK, load_key
from wrapper.services.principal import Principal
from wrapper.settings import Settings, SettingsError, did_you_mean
from wrapper.watched_file import Unreadable, WatchedFile, read_text

SETTING = "API_KEYS_FILE"
BROKEN = f"{SETTING} is broken; the previous keys stay valid; the log says why"


class KeysError(SettingsError):
    """Raised when the keys file is wrong or cannot be changed; lists every mistake."""

    def __init__(self, mistakes: list[str]):
        super().__init__([f"{SETTING}: {mistake}" for mistake in mistakes])


class KeysUnreadable(KeysError, Unreadable):
    """Raised when the file is missing or cannot be read."""


def hash_of(key: str | bytes) -> str:
    """Return the SHA-256 of *key* in hex digits, which the file stores.

    No slower hash is needed: a key has 256 random bits, so nobody can guess it.
    """
    return hashlib.sha256(key.encode() if isinstance(key, str) else key).hexdigest()


class KeyFile:
    """The keys in the file at *path*, which is read again whenever it has changed.

    Raises KeysError if the first reading fails. If a later one fails, the previous keys stay valid.
    Threads may share it.
    """

    def __init__(self, path: str | Path, settings: Settings | None = None):
        self._file = WatchedFile(
            path,
            lambda path: principals(document(read(path), path), settings),
            setting=SETTING,
            broken=BROKEN.rpartition(";")[0],
            count=lambda keys: f"{len(keys)} keys are valid now",
        )

    def find(self, sent: bytes) -> Principal | None:
        """Return the holder of the key *sent*, or None."""
        keys = self._file.value()
        digest = hash_of(sent)
        holder = None
        # Every key is compared, also after a match, so that the time reveals neither whether a key
        # is similar nor its position in the file.
        for known, principal in keys.items():
            if hmac.compare_digest(known, digest):
                holder = principal
        return holder

    def named(self, name: str) -> tuple[Principal, str] | None:
        """Return the holder of this name with the hash of their key, or None."""
        for digest, principal in self._file.value().items():
            if principal.name == name:
                return principal, digest
        return None

    def principals(self) -> tuple[Principal, ...]:
        """Return the holders of keys, in the file's order."""
        return tuple(self._file.value().values())

    def names(self) -> tuple[str, ...]:
        return tuple(principal.name for principal in self.principals())

    @property
    def error(self) -> str | None:
        """Return the message for /health if the file is broken; it names no key."""
        return BROKEN if self._file.is_broken() else None


def open_keys(settings: Settings) -> KeyFile | None:
    """Return the keys of API_KEYS_FILE, or None if it is not set. Raises KeysError."""
    if not settings.api_keys_file:
        return None
    return KeyFile(settings.api_keys_file, settings)


def read(path: Path) -> str:
    """Return the text of the file at *path*. Raises KeysUnreadable, or KeysError if not UTF-8."""
    try:
        return read_text(path, "`claude-code-gateway keys new NAME` makes it")
    except Unreadable as error:
        raise KeysUnreadable(error.mistakes) from None
    except ValueError as error:
        raise KeysError([str(error)]) from None


def document(text: str, where: str | Path = "the file") -> dict[str, Any]:
    """Return the parsed TOML *text* of *where*, which has a table `keys`. Raises KeysError."""
    try:
        parsed = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise KeysError([f"{where} is not valid TOML: {_shown(str(error))}; correct it"]) from None
    # A file without it may be emptied or half written. That must not count as a file without keys.
    if not isinstance(parsed.get("keys"), dict):
        raise KeysError([f"{where} lacks the table [keys]; add it, even if it is empty"])
    return parsed


def principals(
    document: Mapping[str, Any], settings: Settings | None = None
) -> dict[str, Principal]:
    """Return the holders of all keys by the keys' hashes. Raises KeysError with all mistakes."""
    holders: dict[str, Principal] = {}
    mistakes = [
        f"{_shown(name)}: unknown table{did_you_mean([name], ['keys'])}; write a key as [keys.NAME]"
        for name in document
        if name != "keys"
    ]
    for name, table in document["keys"].items():
        where = f"keys.{_shown(name)}"
        try:
            digest, principal = load_key(name, table, settings)
        except ValidationError as error:
            mistakes += _mistakes(where, table, error)
            continue
        first = holders.setdefault(digest, principal)
        if first is not principal:
            mistakes.append(
                f"{where}.sha256: is the same as that of keys.{first.name}; give each its own key"
            )
    if mistakes:
        raise KeysError(mistakes)
    return holders


def _mistakes(where: str, table: Any, error: ValidationError) -> list[str]:
    return [
        f"{where}{'.' if field else ''}{field and _shown(field)}: {message}{_value(table, field)}"
        for field, messages in error.messages_dict.items()
        for message in messages
    ]


def _value(table: Any, field: str) -> str:
    """Return the wrong value of a ceiling for a message, and for another name what was meant.

    Other values may be secret: a key in place of its hash, or under a wrong name.
    """
    if field in WEBHOOK:
        return ""
    if field in CEILINGS and field in table:
        return f" ({field} = {_shown(json.dumps(table[field], default=str))})"
    return did_you_mean([field], CEILINGS) if field and field != "sha256" else ""


def _shown(text: str) -> str:
    """Return *text* from the file for a message: without secrets, printable and short."""
    safe = SECRET.sub("?", text)
    return (safe if safe.isprintable() else repr(safe))[:160]
