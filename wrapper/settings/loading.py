"""Read the settings from the environment and from a file."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import Field, fields
from typing import Any

from wrapper.settings import env_file as env_files
from wrapper.settings import sources, spelling
from wrapper.settings.env_file import EnvFile
from wrapper.settings.table import Settings
from wrapper.settings.validation import (
    SettingsError,
    in_words,
    mistakes_of,
    unaffected,
    with_defaults,
    wrong_values,
)

# Returns the mistakes of what settings name, such as files.
FurtherCheck = Callable[[Settings], Iterable[str]]

NAMES = tuple(row.name.upper() for row in fields(Settings))
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def load(env_file: str = ".env", further: FurtherCheck = lambda _: ()) -> Settings:
    """Return the settings from the environment and, for names not in it, from *env_file*.

    An empty value counts as none. Raises SettingsError with all mistakes at once, those of
    *further* checks too, each with its value and where that comes from.
    """
    file = _into_environment(env_file)
    settings, unreadable = _read()
    wrong = wrong_values(settings, unreadable)
    # With a broken file it is unknown what else was to be set.
    mistakes = in_words(wrong) if file.mistakes else _all_mistakes(settings, wrong, further)
    explained = sources.of_environment(file).explain(mistakes)
    if everything := [*file.mistakes, *_misspelt_in_file(file), *explained]:
        raise SettingsError(everything)
    return settings


def check(settings: Settings, further: FurtherCheck = lambda _: ()) -> None:
    """Check *settings* that code has made. Raises SettingsError as `load` does."""
    if mistakes := _all_mistakes(settings, wrong_values(settings), further):
        raise SettingsError(sources.of_keywords(settings).explain(mistakes))


def explain(mistakes: Iterable[str], env_file: str = ".env") -> list[str]:
    """Return *mistakes* of loaded settings, each with the values and sources that it is about."""
    return sources.of_environment(env_files.read(env_file, NAMES)).explain(mistakes)


def origin_of(settings: Settings, env_file: str = ".env") -> Callable[[str], str]:
    """Return a function that says where a setting in force comes from, or "" if it is not set."""
    from_environment = sources.of_environment(env_files.read(env_file, NAMES))
    loaded, _ = _read()
    from_code = sources.of_keywords(settings)

    def origin(name: str) -> str:
        is_loaded = getattr(settings, name.lower()) == getattr(loaded, name.lower())
        return from_environment.place(name) if is_loaded else from_code.place(name)

    return origin


def warnings(env_file: str = ".env") -> list[str]:
    """Return what in the environment probably is a mistake, but may belong to another program."""
    file = env_files.read(env_file, NAMES)
    found = [
        f"{name} in the environment is not a setting; did you mean {setting}?"
        for name, setting in _misspelt(set(os.environ).difference(file.values))
    ]
    if os.environ.get("CLAUDE_TOOLS", "-").strip() == "":
        found.append("CLAUDE_TOOLS is empty, which means its default; write none for no tools")
    return found


def environment(env_file: str = ".env") -> Mapping[str, str]:
    """Return the environment with the variables that *env_file* adds; the environment wins.

    Raises SettingsError if the file is broken.
    """
    file = env_files.read(env_file, NAMES)
    if file.mistakes:
        raise SettingsError(list(file.mistakes))
    return {**file.values, **os.environ}


def _all_mistakes(settings: Settings, wrong: Mapping[str, str], further: FurtherCheck) -> list[str]:
    later = further(with_defaults(settings, wrong))
    return [*mistakes_of(settings, wrong), *unaffected(later, wrong)]


def _into_environment(env_file: str) -> EnvFile:
    """Add the variables of *env_file* to the environment: libraries read some of them there."""
    file = env_files.read(env_file, NAMES)
    for name, value in file.values.items():
        os.environ.setdefault(name, value)
    return file


def _read() -> tuple[Settings, dict[str, str]]:
    """Return the settings in the environment, and why the text of some, by name, is wrong."""
    values: dict[str, Any] = {}
    unreadable: dict[str, str] = {}
    for row in fields(Settings):
        try:
            values[row.name] = _value(row, os.environ.get(row.name.upper(), ""))
        except ValueError as error:
            values[row.name], unreadable[row.name] = row.default, str(error)
    return Settings(**values), unreadable


def _value(row: Field[Any], text: str) -> Any:
    if not row.metadata["secret"]:
        text = text.strip()
    return row.metadata["parse"](text) if text else row.default


def _misspelt_in_file(file: EnvFile) -> Iterator[str]:
    for name, setting in _misspelt(file.values):
        yield (
            f"{file.where(name)}: {name} is not a setting; did you mean {setting}? "
            f"If another program needs {name}, set {setting}, too, even to nothing"
        )


def _misspelt(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield those of *names* that probably misspell a setting that is not set, and the setting."""
    missing = [name for name in NAMES if name not in os.environ]
    for name in sorted(set(names).difference(NAMES)):
        if _VARIABLE.fullmatch(name) and (setting := spelling.misspelt(name, missing)):
            yield name, setting
