"""The keys: a TOML file with a hash and ceilings for each caller, read again when it changes."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import stat
import threading
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from marshmallow import ValidationError

from wrapper.schemas.keys import SECRET, load_key
from wrapper.services.principal import Principal
from wrapper.settings import Settings, SettingsError

SETTING = "API_KEYS_FILE"
BROKEN = f"{SETTING} is broken; the keys from before are in force; the log says why"

log = logging.getLogger(__name__)


class KeysError(SettingsError):
    """Raised when the keys file is wrong, or cannot be changed so: every mistake, with its mend."""

    def __init__(self, mistakes: list[str]):
        super().__init__([f"{SETTING}: {mistake}" for mistake in mistakes])


class KeysUnreadable(KeysError):
    """Raised when the file is not there or could not be read, whatever it may hold."""


def hash_of(key: str | bytes) -> str:
    """Return what is kept of a *key*: its SHA-256 in hex digits.

    Nothing slower is needed: a key is 256 random bits, and not a word that can be guessed.
    """
    return hashlib.sha256(key.encode() if isinstance(key, str) else key).hexdigest()


class KeyFile:
    """The keys of the file at *path*, which is read again whenever it has changed.

    Raises KeysError where it cannot be read at first; later the keys from before stay in force.
    Threads may share it.
    """

    def __init__(self, path: str | Path, settings: Settings | None = None):
        self._path = Path(path).expanduser().absolute()
        self._settings = settings
        self._lock = threading.Lock()
        self._told: tuple[Any, list[str]] = (None, [])
        # The stamp is taken before the file is read, so that it can only be too old.
        self._seen: tuple[int, ...] | None = self._stamp()
        self._keys = self._read()

    def find(self, sent: bytes) -> Principal | None:
        """Return whose key was *sent*, if anyone's."""
        self._refresh()
        digest = hash_of(sent)
        found = None
        # Every key is compared, and none shortens the search: the time it takes tells nobody
        # whether a key is near, or where in the file it stands.
        for known, principal in self._keys.items():
            if hmac.compare_digest(known, digest):
                found = principal
        return found

    def principals(self) -> tuple[Principal, ...]:
        """Return who has a key, in the file's order."""
        self._refresh()
        return tuple(self._keys.values())

    def names(self) -> tuple[str, ...]:
        return tuple(principal.name for principal in self.principals())

    @property
    def error(self) -> str | None:
        """What /health may say of a file that is broken; it names no key."""
        self._refresh()
        return BROKEN if self._told[1] else None

    def _refresh(self) -> None:
        if self._stamp() == self._seen:
            return
        # One thread reads, and the others wait: a key that is revoked is let in by none of them.
        with self._lock:
            if self._stamp() != self._seen:
                self._reload()

    def _reload(self) -> None:
        stamp = self._stamp()
        mistakes: list[str] = []
        # With too many open files, say, it can be read next time without having changed.
        readable = True
        try:
            self._keys = self._read()
            log.info("%s is read again: %d keys", SETTING, len(self._keys))
        except KeysError as error:
            mistakes, readable = error.mistakes, not isinstance(error, KeysUnreadable)
            if (stamp, mistakes) != self._told:
                log.error("%s: %s", BROKEN.rpartition(";")[0], error)
        self._told = (stamp, mistakes)
        # Last, for by this the others know that the keys are those of now.
        self._seen = stamp if readable or not stamp else None

    def _read(self) -> dict[str, Principal]:
        return principals(document(read(self._path)), self._settings)

    def _stamp(self) -> tuple[int, ...]:
        """Return what tells one state of the file from another; nothing where it is not there."""
        try:
            now = os.stat(self._path)
        except OSError:
            return ()
        # The time of its mode, too: a file that nobody could read is mended by that.
        return now.st_mtime_ns, now.st_ctime_ns, now.st_size, now.st_ino


def open_keys(settings: Settings) -> KeyFile | None:
    """Return the keys of API_KEYS_FILE, or None where it is not set. Raises KeysError."""
    if not settings.api_keys_file:
        return None
    return KeyFile(settings.api_keys_file, settings)


def read(path: Path) -> str:
    """Return the text of the file at *path*; raises KeysUnreadable, or KeysError for its bytes."""
    try:
        # Whoever opens a pipe may wait for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            raise KeysUnreadable([f"{path} is not a regular file; name one"])
        return path.read_bytes().decode()
    except FileNotFoundError:
        raise KeysUnreadable(
            [f"there is no {path}; `flask --app wsgi gateway keys new NAME` makes it"]
        ) from None
    except OSError as error:
        mend = f"let the user {os.getuid()} read it"
        raise KeysUnreadable([f"{path} cannot be read ({error.strerror}); {mend}"]) from None
    except UnicodeDecodeError:
        raise KeysError([f"{path} is not in UTF-8; save it so"]) from None


def document(text: str) -> dict[str, Any]:
    """Return the file's *text* as TOML has it, with a table `keys`; raises KeysError."""
    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise KeysError([f"the file is no TOML: {_shown(str(error))}; correct it"]) from None
    # Without it the file was perhaps emptied, or is half written: no sign that nobody has a key.
    if not isinstance(found.get("keys"), dict):
        raise KeysError(["there is no table [keys]; write it, be it empty"])
    return found


def principals(
    document: Mapping[str, Any], settings: Settings | None = None
) -> dict[str, Principal]:
    """Return whose each key is, by the keys' hashes; raises KeysError with all mistakes."""
    found: dict[str, Principal] = {}
    mistakes = [
        f"{_shown(name)}: is not known here; a key is a [keys.NAME]"
        for name in document
        if name != "keys"
    ]
    for name, table in document["keys"].items():
        where = f"keys.{_shown(name)}"
        try:
            digest, principal = load_key(name, table, settings)
        except ValidationError as error:
            mistakes += _mistakes(where, error)
            continue
        first = found.setdefault(digest, principal)
        if first is not principal:
            mistakes.append(f"{where}.sha256: is that of keys.{first.name}; make each its own key")
    if mistakes:
        raise KeysError(mistakes)
    return found


def _mistakes(where: str, error: ValidationError) -> list[str]:
    return [
        f"{where}{'.' if field else ''}{field and _shown(field)}: {message}"
        for field, messages in error.messages_dict.items()
        for message in messages
    ]


def _shown(text: str) -> str:
    """Return *text*, which holds names of the file, as a message may tell it."""
    told = SECRET.sub("?", text)
    return (told if told.isprintable() else repr(told))[:160]
