"""The options and operands that a read-only command may have, and their form.

Options are matched exactly, and the command line is rebuilt from the parsed words, so that no
command can interpret a word differently from this check.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wrapper.services.permissions.readonly.files import Files
from wrapper.services.permissions.readonly.syntax import Denied, Word

# A count of lines or characters: 5, +5, -5, 5k.
_NUMBER = re.compile(r"[+-]?\d+[bckKMG]?")
_LINES = re.compile(r"-\d+")
# With these options no operand is a pattern.
_PATTERN_GIVEN = frozenset({"-e", "--files"})


@dataclass(frozen=True)
class CommandUsage:
    """The `options` of a command, each with the kind of its value, and its `operands`.

    `operands` are "paths", "files" (no directories), "revisions" (and paths), "text" that matches
    `text`, or "none", and at most `most`. With a `pattern` the first operand, and each value of
    -e, is not a path and has to match it. `always` holds options that are added.
    """

    options: Mapping[str, str]
    operands: str = "paths"
    pattern: re.Pattern[str] | None = None
    text: re.Pattern[str] | None = None
    always: tuple[str, ...] = ()
    most: int | None = None


def usage(
    options: str = "",
    operands: str = "paths",
    *,
    pattern: str | None = None,
    text: str | None = None,
    always: str = "",
    most: int | None = None,
) -> CommandUsage:
    """Return a usage; *options* look like `-a -n=number --all --include=text`."""
    return CommandUsage(
        dict(word.partition("=")[::2] for word in options.split()),
        operands,
        re.compile(pattern) if pattern else None,
        re.compile(text) if text else None,
        tuple(always.split()),
        most,
    )


def arguments(name: str, allowed: CommandUsage, words: Sequence[Word], files: Files) -> list[str]:
    """Return the rebuilt arguments of the command *name*. Raises Denied."""
    line = _Line(name, allowed)
    line.read(words)
    operands = [path for word in line.operands for path in _operand(allowed, word, files)]
    if allowed.operands == "none" and operands:
        raise Denied(f"{name} takes only options here")
    if allowed.most is not None and len(operands) > allowed.most:
        raise Denied(f"{name} takes at most {allowed.most} operand(s) here")
    mark = ["--"] if operands and allowed.operands != "revisions" else []
    return [*allowed.always, *line.options, *mark, *operands]


def _operand(allowed: CommandUsage, word: Word, files: Files) -> list[str]:
    if allowed.operands in ("text", "none"):
        if allowed.text and not allowed.text.fullmatch(word.text):
            raise Denied(f"{word.text!r} is not allowed here")
        return [word.text]
    paths = files.expand(word)
    if allowed.operands == "files":
        for path in paths:
            files.check_regular(path)
    if allowed.operands == "revisions" and word.text != "--":
        # No mark before these words ends the options: a wildcard could give git one by a name.
        return [f"./{path}" if path.startswith("-") else path for path in paths]
    return paths


class _Line:
    """Separates the options and operands of one command."""

    def __init__(self, name: str, allowed: CommandUsage):
        self._name = name
        self._allowed = allowed
        self.options: list[str] = []
        self.operands: list[Word] = []

    def read(self, words: Sequence[Word]) -> None:
        rest = deque(words)
        while rest:
            word = rest.popleft()
            if word.text == "--":
                # Before this mark git reads words as revisions too.
                mark = [word] if self._allowed.operands == "revisions" else []
                self.operands += [*mark, *rest]
                break
            if word.text.startswith("--"):
                self._long(word.text, rest)
            elif word.text.startswith("-") and word.text != "-":
                self._short(word.text, rest)
            else:
                self.operands.append(word)
        if self._allowed.pattern and _PATTERN_GIVEN.isdisjoint(self.options):
            self._take_pattern()

    def _take_pattern(self) -> None:
        if not self.operands:
            raise Denied(f"{self._name} lacks a pattern")
        self._add("-e", "pattern", self.operands.pop(0).text)

    def _long(self, text: str, rest: deque[Word]) -> None:
        name, equals, value = text.partition("=")
        kind = self._kind(name)
        if not kind or (kind == "optional" and not equals):
            if equals:
                raise Denied(f"the option {name} takes no value")
            self.options.append(name)
            return
        value = value if equals else self._next(name, rest)
        self._check(name, kind, value)
        self.options.append(f"{name}={value}")

    def _short(self, text: str, rest: deque[Word]) -> None:
        if _LINES.fullmatch(text) and "-NUM" in self._allowed.options:
            self.options.append(text)
            return
        for at, letter in enumerate(text[1:], 2):
            name = f"-{letter}"
            if kind := self._kind(name):
                self._add(name, kind, text[at:] or self._next(name, rest))
                return
            self.options.append(name)

    def _add(self, name: str, kind: str, value: str) -> None:
        self._check(name, kind, value)
        self.options += [name, value]

    def _kind(self, name: str) -> str:
        if name not in self._allowed.options:
            known = " ".join(n for n in self._allowed.options if n != "-NUM") or "none"
            raise Denied(f"{self._name} has no option {name} here; it has: {known}")
        return self._allowed.options[name]

    def _next(self, name: str, rest: deque[Word]) -> str:
        if not rest:
            raise Denied(f"the option {name} needs a value")
        return rest.popleft().text

    def _check(self, name: str, kind: str, value: str) -> None:
        form = {"number": _NUMBER, "pattern": self._allowed.pattern}.get(kind)
        if form and not form.fullmatch(value):
            raise Denied(f"{value!r} is not allowed for {name} of {self._name} here")
