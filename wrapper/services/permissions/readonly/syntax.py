"""Parse the small part of the shell's language that read-only commands may use.

Nothing is expanded: anything that the shell would expand, write or run in addition is denied.
"""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass, field

LONGEST = 10_000
NULL = "/dev/null"

# White space, a line continuation, and a comment.
_BLANK = re.compile(r"[ \t]+|\\\n|#[^\n]*")
_OUTPUT = re.compile(r"(&|[12]?)>[ \t]*(?:(/dev/null)|&([12]))(?![^\s|&;)])")
_INPUT = re.compile(r"<(?![<(&>])[ \t]*")
_OPERATOR = re.compile(r"&&|\|\|(?![|&])|\|(?![|&])|;(?![;&])|\n")
_ENDS = r"(?=[\s|&;]|$)"
_PIECE = re.compile(
    r"\\(?P<escaped>[^\n])|(?P<continued>\\\n)|'(?P<single>[^']*)'"
    r'|"(?P<double>(?:[^"\\$`]|\\[\s\S]|\$(?![\w{(*@#?!$-]))*)"'
    rf"|(?P<wild>[*?\[])|(?P<bare>[^\s\\'\"*?\[`$|&;<>()]+|\${_ENDS})"
)
_ESCAPED = re.compile(r'\\([$`"\\])|\\\n')
_BRACES = re.compile(r"\{[^}]*(?:,|\.\.)[^}]*\}")
_UNUSUAL = re.compile(r"[^\S\n\t ]|[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_REASONS = {
    "$": "variables and $(…) are not expanded here; write out their values",
    "`": "commands in backticks do not run here",
    ">": "output cannot go to files here, only to /dev/null; use Write or Edit",
    "<": "only < FILE is allowed here as an input redirection",
    "&": "commands do not run in the background here",
    "(": "subshells do not run here; write the commands one after another",
    '"': "the double quotes do not end, or hold an expansion; use single quotes",
    "'": "the single quotes do not end",
}


class Denied(Exception):
    """Raised if a command may not run. The message is a reason that the model can act on."""


@dataclass(frozen=True)
class Word:
    """A word as a command gets it. `pattern` is set if it has wildcards."""

    text: str
    pattern: str | None = None


@dataclass
class Step:
    """One command of a line, with the operator before it.

    `outputs` holds its harmless redirections, `source` the file that it reads its input from.
    """

    operator: str
    words: list[Word] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    source: Word | None = None


def parse(command: str) -> list[Step]:
    """Return the steps of *command*. Raises Denied for any other syntax."""
    if len(command) > LONGEST:
        raise Denied(f"the command is longer than {LONGEST} characters")
    if _UNUSUAL.search(command):
        raise Denied("the command holds control characters or unusual white space")
    reader, steps = _Reader(command), [Step("")]
    while not reader.ended:
        _read(reader, steps)
    if len(steps) > 1 and not steps[-1].words and steps[-1].operator == ";":
        steps.pop()
    if not all(step.words for step in steps):
        raise Denied("the command is not complete")
    return steps


def quote(text: str) -> str:
    """Return *text* as a word that every shell reads literally."""
    return "'" + text.replace("'", "'\\''") + "'"


def _read(reader: _Reader, steps: list[Step]) -> None:
    """Read the next word, operator or redirection."""
    step = steps[-1]
    if reader.take(_BLANK):
        return
    if match := reader.take(_OUTPUT):
        step.outputs.append(f"{match[1]}>{match[2] or '&' + match[3]}")
    elif reader.take(_INPUT):
        step.source = reader.word()
    elif match := reader.take(_OPERATOR):
        operator = ";" if match[0] == "\n" else match[0]
        if step.words or operator != ";" or match[0] == ";":
            steps.append(Step(operator))
    else:
        step.words.append(reader.word())


class _Reader:
    def __init__(self, text: str):
        self._text = text
        self._at = 0

    @property
    def ended(self) -> bool:
        return self._at == len(self._text)

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        if match := pattern.match(self._text, self._at):
            self._at = match.end()
        return match

    def word(self) -> Word:
        texts: list[str] = []
        patterns: list[str] = []
        wild = False
        while piece := self.take(_PIECE):
            if piece.lastgroup == "bare":
                _check_bare(piece[0], first=not texts)
            wild = wild or piece.lastgroup == "wild"
            text = _literal(piece)
            texts.append(text)
            patterns.append(text if piece.lastgroup in ("wild", "bare") else glob.escape(text))
        if not texts:
            sign = self._text[self._at : self._at + 1]
            raise Denied(_REASONS.get(sign, "this syntax is not supported here"))
        return Word("".join(texts), "".join(patterns) if wild else None)


def _literal(piece: re.Match[str]) -> str:
    if piece.lastgroup == "double":
        return _ESCAPED.sub(lambda match: match[1] or "", piece["double"])
    if piece.lastgroup == "continued":
        return ""
    return piece[piece.lastgroup or 0]


def _check_bare(text: str, *, first: bool) -> None:
    if first and text.startswith("~"):
        raise Denied("~ is not expanded here; name files from the working directory")
    if _BRACES.search(text):
        raise Denied("braces are not expanded here; write the words out")
