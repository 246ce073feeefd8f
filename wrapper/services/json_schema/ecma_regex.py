"""Translate ECMAScript regular expressions, which JSON Schema uses, for the schema library.

The library's syntax differs, and the same form may have another meaning in it. The translation
accepts forms that JavaScript accepts only without its flag u, and matches whole code points.
"""

from __future__ import annotations

import re
from collections.abc import Callable

WORD = "[0-9A-Za-z_]"
ANY, NOTHING = r"[\x{0}-\x{10FFFF}]", r"[^\x{0}-\x{10FFFF}]"
DOT = r"[^\n\r\x{2028}\x{2029}]"
BOUNDARY = f"(?:(?<={WORD})(?!{WORD})|(?<!{WORD})(?={WORD}))"
NO_BOUNDARY = f"(?:(?<={WORD})(?={WORD})|(?<!{WORD})(?!{WORD}))"
ASSERTIONS = {"^": "^", "$": "$", r"\b": BOUNDARY, r"\B": NO_BOUNDARY}
# Matches the empty text. Without it the library takes X+Y?X+ for X+(?:YX+)?, which matches one X.
BARRIER = "x{0}"
CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
LAST_CODE = 0x10FFFF
# The character classes, written as members of a set, since a set cannot hold another set.
CLASSES = {
    r"\d": "0-9",
    r"\D": r"\x{0}-\x{2f}\x{3a}-\x{10ffff}",
    r"\w": "0-9A-Za-z_",
    r"\W": r"\x{0}-\x{2f}\x{3a}-\x{40}\x{5b}-\x{5e}\x{60}\x{7b}-\x{10ffff}",
    r"\s": (
        r"\x{9}-\x{d}\x{20}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}"
        r"\x{3000}\x{feff}"
    ),
    r"\S": (
        r"\x{0}-\x{8}\x{e}-\x{1f}\x{21}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}"
        r"\x{200b}-\x{2027}\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}"
        r"\x{3001}-\x{fefe}\x{ff00}-\x{10ffff}"
    ),
}

_CLASS_PATTERN = r"\\[dDwWsS]|\\[pP]\{[\w=]+\}"
_CHARACTER_PATTERN = r"""\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}
    | \\u\{[0-9a-fA-F]+\} | \\u[0-9a-fA-F]{4} | \\x[0-9a-fA-F]{2} | \\c[A-Za-z] | \\[0-7]{1,3}
    | \\. | [^\\]"""
_ITEM = re.compile(
    rf"""
    (?P<set>\[\^?)
  | \((?:\?(?P<kind>:|=|!|<=|<!|-?i:)|\?<(?P<name>[$\w]+)>|(?P<unknown>\?))?(?P<open>)
  | (?P<close>\))
  | (?P<bar>\|)
  | (?P<quantifier>[*+?]|\{{\d+(?:,\d*)?\}})(?P<lazy>\??)
  | (?P<assertion>[\^$]|\\[bB])
  | (?P<dot>\.)
  | \\k<(?P<named>[$\w]+)>
  | \\(?P<number>[1-9]\d*)
  | (?P<class>{_CLASS_PATTERN})
  | (?P<character>{_CHARACTER_PATTERN})
    """,
    re.VERBOSE | re.DOTALL,
)
_CLASS = re.compile(_CLASS_PATTERN)
_MEMBER = re.compile(f"{_CLASS_PATTERN}|{_CHARACTER_PATTERN}", re.VERBOSE | re.DOTALL)
_GROUP = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]|\((?!\?)|\(\?<(?P<name>[$\w]+)>", re.DOTALL)
_REFERENCE = re.compile(r"\\[1-9]|\\k<")


def translate(pattern: str) -> str:
    """Return *pattern* in the library's syntax. Raises ValueError if it is not a pattern."""
    return _Translation(pattern).run()


class _Translation:
    def __init__(self, pattern: str):
        self._pattern = pattern
        groups = [match for match in _GROUP.finditer(pattern) if match[0].startswith("(")]
        self._groups = len(groups)
        self._numbers = {match["name"]: n for n, match in enumerate(groups, 1) if match["name"]}
        # With back references it matters which groups have matched.
        self._tracks_groups = bool(self._groups and _REFERENCE.search(pattern))
        self._at = 0
        self._written: list[str] = []
        # The number of each open group, 0 without one, and whether it can be repeated.
        self._open: list[tuple[int, bool]] = []
        self._opened = 0
        self._repeatable = False

    def run(self) -> str:
        while self._at < len(self._pattern):
            match = _ITEM.match(self._pattern, self._at)
            if not match:
                raise self._error("it ends with a backslash")
            self._at = match.end()
            self._take(match)
        if self._open:
            raise self._error("a group is not closed")
        return "".join(self._written)

    def _take(self, match: re.Match[str]) -> None:
        kind = match.lastgroup if match.lastgroup != "lazy" else "quantifier"
        take: Callable[[re.Match[str]], None] = getattr(self, f"_take_{kind}")
        take(match)

    def _write(self, text: str, *, repeatable: bool = True) -> None:
        self._written.append(text)
        self._repeatable = repeatable

    def _take_open(self, match: re.Match[str]) -> None:
        if match["unknown"]:
            raise self._error("it has a group of an unknown kind")
        kind, number = match["kind"], 0
        if kind:
            begin = f"(?{kind}"
        else:
            number = self._opened = self._opened + 1
            begin = "(?:()(" if self._tracks_groups else "("
        # A lookbehind cannot be repeated, and here a lookahead cannot either.
        self._open.append((number, kind not in ("=", "!", "<=", "<!")))
        self._write(begin, repeatable=False)

    def _take_close(self, match: re.Match[str]) -> None:
        if not self._open:
            raise self._error("a group is closed that is not open")
        number, repeatable = self._open.pop()
        self._write("))" if number and self._tracks_groups else ")", repeatable=repeatable)

    def _take_bar(self, match: re.Match[str]) -> None:
        self._write("|", repeatable=False)

    def _take_quantifier(self, match: re.Match[str]) -> None:
        if not self._repeatable:
            raise self._error(f"there is nothing for {match['quantifier']} to repeat")
        optional = match["quantifier"][:2] in ("*", "?", "{0")
        self._write(match[0] + BARRIER * optional, repeatable=False)

    def _take_assertion(self, match: re.Match[str]) -> None:
        self._write(ASSERTIONS[match["assertion"]], repeatable=False)

    def _take_dot(self, match: re.Match[str]) -> None:
        self._write(DOT)

    def _take_class(self, match: re.Match[str]) -> None:
        self._write(_set(_in_set(match["class"]), negated=False))

    def _take_named(self, match: re.Match[str]) -> None:
        if match["named"] not in self._numbers:
            raise self._error(f"there is no group {match['named']!r}")
        self._write(self._reference(self._numbers[match["named"]]))

    def _take_number(self, match: re.Match[str]) -> None:
        number = int(match["number"][:9])
        if number <= self._groups:
            self._write(self._reference(number))
            return
        # Without so many groups it is an octal character code, or the digit itself.
        octal = re.match(r"[0-3]?[0-7]{1,2}", match["number"])
        length = octal.end() if octal else 1
        self._at = match.start("number") + length
        self._write(_character(int(octal[0], 8) if octal else ord(match["number"][0])))

    def _reference(self, number: int) -> str:
        """Return a back reference, which matches the empty text if the group has not matched."""
        if any(number == group for group, _ in self._open):
            return "(?:)"
        mark, group = 2 * number - 1, 2 * number
        return rf"(?:(?:\{mark})(?:\{group})|(?!\{mark}))"

    def _take_character(self, match: re.Match[str]) -> None:
        self._write(_character(_code(match["character"])) or NOTHING)

    def _take_set(self, match: re.Match[str]) -> None:
        members: list[str] = []
        while (first := self._member()) != "]":
            if not self._ranges():
                members.append(_in_set(first))
                continue
            self._at += 1
            last = self._member()
            begin, end = _code_in_set(first), _code_in_set(last)
            if begin is None or end is None:  # the hyphen is literal then
                members += [_in_set(first), _character(ord("-")), _in_set(last)]
            elif end < begin:
                raise self._error("a range of characters is out of order")
            else:
                members.append(f"{_character(begin)}-{_character(end)}")
        self._write(_set("".join(members), negated=match["set"] == "[^"))

    def _member(self) -> str:
        """Return the source of the next member of a set, or the set's end."""
        if self._at >= len(self._pattern):
            raise self._error("a set of characters is not closed")
        if self._pattern[self._at] == "]":
            self._at += 1
            return "]"
        match = _MEMBER.match(self._pattern, self._at)
        if not match:
            raise self._error("it ends with a backslash")
        self._at = match.end()
        return match[0]

    def _ranges(self) -> bool:
        """Say whether the range continues here."""
        rest = self._pattern[self._at : self._at + 2]
        return len(rest) == 2 and rest[0] == "-" and rest[1] != "]"

    def _error(self, why: str) -> ValueError:
        shown = self._pattern if len(self._pattern) <= 80 else f"{self._pattern[:80]}…"
        return ValueError(f"the pattern {shown!r} is not a regular expression of JavaScript: {why}")


def _in_set(member: str) -> str:
    code = _code_in_set(member)
    return CLASSES.get(member, member) if code is None else _character(code)


def _code_in_set(member: str) -> int | None:
    """Return the code of *member*, or None if it is a character class."""
    if _CLASS.fullmatch(member):
        return None
    return {r"\b": 8, r"\B": ord("B")}.get(member) or _code(member)


def _code(character: str) -> int:
    """Return the code of a character, escaped or not."""
    if character[0] != "\\" or len(character) == 1:
        return ord(character)
    kind, rest = character[1], character[2:]
    if kind in "ux" and rest:
        numbers = [int(digits, 16) for digits in re.findall(r"[0-9a-fA-F]{2,}", character)]
        if len(numbers) == 2:
            return 0x10000 + (numbers[0] - 0xD800) * 0x400 + numbers[1] - 0xDC00
        return numbers[0] if numbers else int(rest.strip("{}"), 16)
    if kind == "c" and rest:
        return ord(rest) % 32
    if kind in "01234567":
        return int(character[1:], 8)
    return CONTROLS.get(kind, ord(kind))


def _character(code: int) -> str:
    """Return a character, or nothing for a lone surrogate, which no text holds."""
    if code > LAST_CODE:
        raise ValueError(f"the pattern has the character code {code:x}, which does not exist")
    if 0xD800 <= code <= 0xDFFF:
        return ""
    return chr(code) if chr(code).isascii() and chr(code).isalnum() else rf"\x{{{code:x}}}"


def _set(members: str, *, negated: bool) -> str:
    if not members:
        return ANY if negated else NOTHING
    return f"[{'^' * negated}{members}]"
