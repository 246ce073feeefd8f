"""The text of the keys file: edits of one key, which leave the rest of it as it is.

The functions raise TOMLKitError or ValueError for a layout that they cannot edit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AbstractTable, InlineTable

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
    key = _table(_table(toml["keys"])[name])
    key.pop(CONFIG, None)
    if config:
        table = tomlkit.inline_table()
        table.update(config)
        key[CONFIG] = table
    return toml.as_string()


def with_webhook(text: str, name: str, webhook: Mapping[str, Any]) -> str:
    """Return *text* with this webhook of a key, or without one if it is empty."""
    toml = tomlkit.parse(text)
    key = _table(_table(toml["keys"])[name])
    for field in WEBHOOK:
        key.pop(field, None)
        if field in webhook:
            key[field] = webhook[field]
    return toml.as_string()


def with_ceilings(text: str, name: str, ceilings: Mapping[str, Any]) -> str:
    """Return *text* with these ceilings of a key, and those in KEPT."""
    toml = tomlkit.parse(text)
    key = _table(_table(toml["keys"])[name])
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
    trailing = _trailing_comments(_table(keys[name]))
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


def _trailing_comments(table: AbstractTable) -> str:
    """Return the comments and empty lines at the end of *table*: they belong to the next one."""
    trailing = ""
    for key, item in table.value.body:
        trailing = trailing + item.as_string() if key is None else ""
    return trailing


def _table(item: Any) -> AbstractTable:
    if not isinstance(item, AbstractTable):
        raise TOMLKitError
    return item
