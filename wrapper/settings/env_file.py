"""The file `.env`: its variables, the lines that set them, and what is wrong with it."""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream
from dotenv.variables import Variable, parse_variables

from wrapper.settings import spelling, utf8

_LINE_BREAK = re.compile(r"\r\n|\n|\r")
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_ASSIGNMENT = re.compile(rf"\s*(?:export\s+)?'?(?P<name>{_NAME})'?\s*=\s*(?P<quote>['\"])?")


@dataclass(frozen=True)
class EnvFile:
    """What a file sets: `values` by name and the `lines` that set them. Empty if it is broken."""

    path: str
    values: Mapping[str, str] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)
    mistakes: tuple[str, ...] = ()

    def where(self, name: str) -> str:
        """Return where *name* is set, for a message."""
        return f"{self.path} line {self.lines[name]}"


class _Unreadable(Exception):
    """Raised with a message that names the file and says what to do."""


def read(path: str | Path, settings: Collection[str]) -> EnvFile:
    """Return what the file at *path* sets; nothing if there is none.

    No message repeats a value, which may be secret. *settings* are the names that the gateway
    reads. A broken line sets nothing, and can hide the lines after it, so a file with one sets
    nothing at all.
    """
    full = os.path.abspath(path)
    try:
        text = _text(full)
    except _Unreadable as error:
        return EnvFile(full, mistakes=(str(error),))
    bindings = list(parse_stream(io.StringIO(text)))
    broken = tuple(mistake for b in bindings for mistake in _broken(b, full, settings))
    if broken:
        return EnvFile(full, mistakes=broken)
    values = dotenv_values(stream=io.StringIO(text))
    lines = {binding.key: _line(binding) for binding in bindings if binding.key}
    return EnvFile(
        full,
        {name: value for name, value in values.items() if value is not None},
        lines,
        tuple(_unset_variables(bindings, full, settings)),
    )


def _text(path: str) -> str:
    if not os.path.lexists(path):
        return ""
    try:
        mode = os.stat(path).st_mode
        # Programs that keep secrets offer the file as a pipe.
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise _Unreadable(f"{path}: is not a regular file; move it away, or write a file there")
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise _Unreadable(
            f"{path}: is a link to a file that does not exist; correct it, or remove it"
        ) from None
    except OSError as error:
        remedy = f"permit the user {os.getuid()} to read it, or remove it"
        raise _Unreadable(f"{path}: cannot be read ({error.strerror}); {remedy}") from None
    try:
        return utf8.decode(data)
    except ValueError as error:
        raise _Unreadable(f"{path} {error}") from None


def _broken(binding: Binding, path: str, settings: Collection[str]) -> Iterator[str]:
    """Yield what is wrong with the line of *binding*, if it cannot be read as it was meant."""
    where = f"{path} line {_line(binding)}"
    if binding.error or "=" in (binding.key or ""):  # a quoted key may contain one
        yield f"{where}: {_syntax(binding.original.string)}"
    elif binding.key and binding.value is None:
        word = re.match(rf"{_NAME}(-\w+)*", binding.key)
        name = word and (word[0] if word[0] in settings else spelling.misspelt(word[0], settings))
        if name:
            yield f"{where}: has no value; write {name}=VALUE"
    elif binding.key and (hidden := _hidden(binding.value or "", settings)):
        yield f"{where}: the quote of {binding.key} ends behind {hidden}=; close it on its line"


def _syntax(line: str) -> str:
    assignment = _ASSIGNMENT.match(line)
    if assignment and assignment["quote"]:
        return (
            f"the quote of {assignment['name']} is not closed, or text follows it; "
            "correct the quotes"
        )
    return "is not an assignment; write NAME=VALUE, or begin the line with #"


def _hidden(value: str, settings: Collection[str]) -> str | None:
    """Return the setting that a later line of *value* looks like setting."""
    for line in _LINE_BREAK.split(value)[1:]:
        assignment = _ASSIGNMENT.match(line)
        if assignment and assignment["name"] in settings:
            return assignment["name"]
    return None


def _unset_variables(
    bindings: list[Binding], path: str, settings: Collection[str]
) -> Iterator[str]:
    """Yield a mistake for each setting that refers to a variable without value.

    It would be empty, and a gateway whose API_KEY is empty needs no key.
    """
    known = set(os.environ)
    for binding in bindings:
        for atom in parse_variables(binding.value or "") if binding.key in settings else ():
            if isinstance(atom, Variable) and atom.default is None and atom.name not in known:
                yield (
                    f"{path} line {_line(binding)}: {binding.key} refers to {atom.name}, "
                    f"which is not set; set it, or write the value"
                )
        if binding.key:
            known.add(binding.key)


def _line(binding: Binding) -> int:
    """Return the number of the line of *binding*, whose text begins with the blank lines above."""
    text = binding.original.string
    blank = text[: len(text) - len(text.lstrip())]
    return binding.original.line + len(_LINE_BREAK.findall(blank))
