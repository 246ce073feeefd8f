"""The file of a skill or slash command, in Claude Code's format, and what of it an agent gets.

Claude Code does more for such a file than the gateway can allow. It runs commands in the text, into
which it puts arguments that come from the model, and it takes hooks, permissions and a model from
the fields. So only a text and what describes it are passed on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MARK = "---"
DESCRIPTION = "description"
KEPT = (DESCRIPTION, "argument-hint", "when_to_use")
# Permissions come from the settings, the key and the request alone.
IGNORED = ("allowed-tools", "compatibility", "license", "metadata", "name", "version")
_FIELD = re.compile(r"([A-Za-z][\w-]*):(?:\s+(.*))?")
_BLOCKS = ("|", "|-", "|+", ">", ">-", ">+")
_COMMAND = re.compile(r"!`|(?:```|~~~)\s*!")
_MENTION = re.compile(r"@[\"']?\$")


@dataclass(frozen=True)
class Skill:
    """What an agent gets: a `text`, and the `fields` that say what it is for."""

    fields: dict[str, str]
    text: str
    origin: str = "skill"

    @property
    def description(self) -> str:
        return self.fields[DESCRIPTION]

    def file(self) -> str:
        """Return the file that Claude Code gets. JSON's strings are YAML's, too."""
        fields = (f"{name}: {json.dumps(value)}" for name, value in self.fields.items())
        return "\n".join((MARK, *fields, MARK, self.text, ""))


@dataclass
class _Field:
    name: str
    line: int
    lines: list[str]

    def value(self) -> str:
        """Return the value in one line. Raises ValueError if its quotes are wrong."""
        first, *rest = self.lines
        value = " ".join(" ".join(rest if first in _BLOCKS else self.lines).split())
        if value.startswith('"'):
            return str(json.loads(value))
        return value[1:-1].replace("''", "'") if re.fullmatch("'.*'", value) else value


def parse(text: str, origin: str) -> tuple[Skill, list[str]]:
    """Return the skill in a file's *text*, and the mistakes, each with its line."""
    lines = text.splitlines()
    end = _end_of_fields(lines)
    if end is None:
        return Skill({}, ""), [f"line 1: no line {MARK} ends the fields; add one"]
    fields, mistakes = _read_fields(lines[1:end])
    body = lines[end + 1 :] if end else lines
    mistakes += _text_mistakes(body, len(lines) - len(body) + 1)
    if not fields.get(DESCRIPTION):
        mistakes.append(f"it has no {DESCRIPTION}, by which the model chooses it; add that field")
    return Skill(fields, "\n".join(body).strip("\n"), origin), mistakes


def _end_of_fields(lines: Sequence[str]) -> int | None:
    """Return the index of the line that ends the fields, 0 if there are none."""
    if not lines or lines[0].strip() != MARK:
        return 0
    ends = (number for number, line in enumerate(lines) if number and line.strip() == MARK)
    return next(ends, None)


def _read_fields(lines: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    fields: list[_Field] = []
    mistakes: list[str] = []
    for number, line in enumerate(lines, 2):
        if not line.strip() or line.startswith("#"):
            continue
        if match := _FIELD.fullmatch(line.rstrip()):
            fields.append(_Field(match[1], number, [(match[2] or "").strip()]))
        elif fields and line[0] in " \t-":
            fields[-1].lines.append(line.strip())
        else:
            mistakes.append(f"line {number}: it is no field; write NAME: VALUE")
    values: dict[str, str] = {}
    for field in fields:
        try:
            values.update(_kept(field))
        except ValueError as why:
            mistakes.append(f"line {field.line}: {why}")
    return values, mistakes


def _kept(field: _Field) -> dict[str, str]:
    """Return the field if it is kept. Raises ValueError if it must not be there."""
    if field.name in IGNORED:
        return {}
    if field.name not in KEPT:
        known = ", ".join((*KEPT, *IGNORED))
        raise ValueError(f"{field.name[:80]} has no effect here; remove it (known: {known})")
    try:
        return {field.name: field.value()}
    except ValueError:
        raise ValueError(f"the quotes of {field.name} are wrong; correct them") from None


def _text_mistakes(lines: Sequence[str], first: int) -> Iterator[str]:
    if not any(line.strip() for line in lines):
        yield "it has no text after its fields; add one"
    for number, line in enumerate(lines, first):
        if _COMMAND.search(line):
            yield f"line {number}: ! before code is a command that Claude Code runs; remove the !"
        if _MENTION.search(line):
            yield f"line {number}: an argument after @ could name any file; remove the @"
