"""Read the settings from the environment and from a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any, cast

from dotenv import dotenv_values
from environs import Env, EnvValidationError

from wrapper.settings import parsers
from wrapper.settings.table import Settings
from wrapper.settings.validation import SettingsError, mistakes_of


def load(env_file: str = ".env") -> Settings:
    """Return the settings from the environment and, for names not in it, from *env_file*.

    Raises SettingsError with all mistakes at once.
    """
    env = _reader(env_file)
    values = {row.name: _read(env, row) for row in fields(Settings)}
    try:
        env.seal()
    except EnvValidationError as error:
        messages = cast(Mapping[str, list[str]], error.error_messages)
        raise SettingsError(
            [f"{name}: {' '.join(why)}" for name, why in messages.items()]
        ) from None
    settings = Settings(**values)
    if mistakes := mistakes_of(settings):
        raise SettingsError(mistakes)
    return settings


def environment(env_file: str = ".env") -> Mapping[str, str]:
    """Return the environment with the variables that *env_file* adds; the environment wins."""
    added = {name: value for name, value in dotenv_values(env_file).items() if value is not None}
    return {**added, **os.environ}


def _reader(env_file: str) -> Env:
    env = Env(eager=False)
    env.read_env(env_file, recurse=False)
    for kind, parser in parsers.PARSERS.items():
        env.add_parser(kind, parser)
    return env


def _read(env: Env, row: Field[Any]) -> Any:
    parse = getattr(env, row.metadata["kind"])
    return parse(row.name.upper(), row.default, validate=row.metadata["check"])
