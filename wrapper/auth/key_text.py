"""The text of the keys file: edits of one key, which leave the rest of it as it is.

The functions raise TOMLKitError or ValueError for a layout that they cannot edit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import tomlkit
from tomlkit import TOMLDocument
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AbstractTable, InlineTable, Item, Key, Table

from wrapper.schemas.keys import CEILINGS, CONFIG, WEBHOOK

# What a key keeps if it gets other ceilings.
KEPT = ("sha256", CONFIG, *WEBHOOK)


def with_key(text: str, name: str, entry: dict[str, str]) -> str:
    """Return *text* with a key *name* more."""
    toml = tomlkit.parse(text)
    keys = _table(toml["keys"])
    table = tomlkit.inline_table() if isinstance(keys, InlineTable) else tomlkit.table()
    table.update(entry)
    keys.append(name, table)
    return toml.as_string()


def with_config(text: str, name: str, config: Mapping[str, Any]) -> str:
    """Return *text* with this tool config of a key, or without one if it is empty."""
    toml = tomlkit.parse(text)
    with _key(toml, name) as key:
        key.pop(CONFIG, None)
        if config:
            table = tomlkit.inline_table()
            table.update(config)
            key[CONFIG] = table
    return toml.as_string()


def with_webhook(text: str, name: str, webhook: Mapping[str, Any]) -> str:
    """Return *text* with this webhook of a key, or without one if it is empty."""
    toml = tomlkit.parse(text)
    with _key(toml, name) as key:
        for field in WEBHOOK:
            key.pop(field, None)
            if field in webhook:
                key[field] = webhook[field]
    return toml.as_string()


def with_ceilings(text: str, name: str, ceilings: Mapping[str, Any]) -> str:
    """Return *text* with these ceilings of a key, and those in KEPT."""
    toml = tomlkit.parse(text)
    with _key(toml, name) as key:
        for ceiling in CEILINGS:
            if ceiling in KEPT:
                continue
            if ceiling not in ceilings:
                key.pop(ceiling, None)
            elif key.get(ceiling) != ceilings[ceiling]:
                key[ceiling] = ceilings[ceiling]
    return toml.as_string()


def without_key(text: str, name: str) -> str:
    """Return *text* without a key, and with the comments that belong to the next one."""
    toml = tomlkit.parse(text)
    keys = _table(toml["keys"])
    trailing = "".join(item.as_string() for _, item in _take_trailing(_table(keys[name])))
    names = list(keys)
    after = names[names.index(name) + 1 :]
    keys.remove(name)
    if after:
        trivia = _table(keys[after[0]]).trivia
        trivia.indent = trailing + trivia.indent
        trailing = ""
    rest = toml.as_string() + trailing
    # A file without this table would count as broken.
    return rest if "keys" in tomlkit.parse(rest) else f"{rest}\n[keys]\n"


@contextmanager
def _key(toml: TOMLDocument, name: str) -> Iterator[AbstractTable]:
    """Yield the table of a key, without the comments that are to follow it."""
    key = _table(_table(toml["keys"])[name])
    trailing = _take_trailing(key)
    yield key
    _last_part(key).value.body.extend(trailing)


def _take_trailing(table: AbstractTable) -> list[tuple[Key | None, Item]]:
    """Take the comments and empty lines from the end of *table*: they belong to the next one."""
    body = _last_part(table).value.body
    begin = len(body)
    while begin and body[begin - 1][0] is None:
        begin -= 1
    trailing = body[begin:]
    del body[begin:]
    return trailing


def _last_part(table: AbstractTable) -> AbstractTable:
    """Return the table at the end of *table*, as [keys.NAME.config] may be, or *table* itself."""
    parts = [item for key, item in table.value.body if key is not None]
    return _last_part(parts[-1]) if parts and isinstance(parts[-1], Table) else table


def _table(item: Any) -> AbstractTable:
    if not isinstance(item, AbstractTable):
        raise TOMLKitError
    return item
