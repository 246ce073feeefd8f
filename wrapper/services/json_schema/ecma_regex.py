"""The ECMAScript regular expression, as JSON Schema has it, in the syntax of the schema library.

The library's own syntax differs: where both know a form they may mean different things by it.
Forms that JavaScript takes only without its flag u are taken too, and every letter is one letter.
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
CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
LAST_LETTER = 0x10FFFF
# The classes of letters, as members of a set, which cannot hold another set.
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
_LETTER_PATTERN = r"""\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}
    | \\u\{[0-9a-fA-F]+\} | \\u[0-9a-fA-F]{4} | \\x[0-9a-fA-F]{2} | \\c[A-Za-z] | \\[0-7]{1,3}
    | \\. | [^\\]"""
_ITEM = re.compile(
    rf"""
    (?P<set>\[\^?)
  | \((?:\?(?P<kind>:|=|!|<=|<!|-?i:)|\?<(?P<name>[$\w]+)>|(?P<odd>\?))?(?P<open>)
  | (?P<close>\))
  | (?P<bar>\|)
  | (?P<times>[*+?]|\{{\d+(?:,\d*)?\}})(?P<lazy>\??)
  | (?P<assertion>[\^$]|\\[bB])
  | (?P<dot>\.)
  | \\k<(?P<called>[$\w]+)>
  | \\(?P<number>[1-9]\d*)
  | (?P<class>{_CLASS_PATTERN})
  | (?P<letter>{_LETTER_PATTERN})
    """,
    re.VERBOSE | re.DOTALL,
)
_CLASS = re.compile(_CLASS_PATTERN)
_MEMBER = re.compile(f"{_CLASS_PATTERN}|{_LETTER_PATTERN}", re.VERBOSE | re.DOTALL)
_GROUP = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]|\((?!\?)|\(\?<(?P<name>[$\w]+)>", re.DOTALL)
_REFERENCE = re.compile(r"\\[1-9]|\\k<")


def translate(pattern: str) -> str:
    """Return *pattern* in the library's syntax. Raises ValueError where it is not one."""
    return _Translation(pattern).run()


class _Translation:
    def __init__(self, pattern: str):
        self._pattern = pattern
        groups = [found for found in _GROUP.finditer(pattern) if found[0].startswith("(")]
        self._groups = len(groups)
        self._numbers = {found["name"]: n for n, found in enumerate(groups, 1) if found["name"]}
        # Only where groups are referred to it matters which of them have taken part.
        self._marked = bool(self._groups and _REFERENCE.search(pattern))
        self._at = 0
        self._written: list[str] = []
        # Of each group that is open its number, if it has one, and whether it can be repeated.
        self._open: list[tuple[int, bool]] = []
        self._opened = 0
        self._repeatable = False

    def run(self) -> str:
        while self._at < len(self._pattern):
            found = _ITEM.match(self._pattern, self._at)
            if not found:
                raise self._wrong("it ends with a backslash")
            self._at = found.end()
            self._take(found)
        if self._open:
            raise self._wrong("a group is not closed")
        return "".join(self._written)

    def _take(self, found: re.Match[str]) -> None:
        kind = found.lastgroup if found.lastgroup != "lazy" else "times"
        take: Callable[[re.Match[str]], None] = getattr(self, f"_take_{kind}")
        take(found)

    def _write(self, text: str, *, repeatable: bool = True) -> None:
        self._written.append(text)
        self._repeatable = repeatable

    def _take_open(self, found: re.Match[str]) -> None:
        if found["odd"]:
            raise self._wrong("it has a group of an unknown kind")
        kind, number = found["kind"], 0
        if kind:
            begin = f"(?{kind}"
        else:
            number = self._opened = self._opened + 1
            begin = "(?:()(" if self._marked else "("
        # What looks behind cannot be repeated; what looks ahead is not here, either.
        self._open.append((number, kind not in ("=", "!", "<=", "<!")))
        self._write(begin, repeatable=False)

    def _take_close(self, found: re.Match[str]) -> None:
        if not self._open:
            raise self._wrong("a group is closed that is not open")
        number, repeatable = self._open.pop()
        self._write("))" if number and self._marked else ")", repeatable=repeatable)

    def _take_bar(self, found: re.Match[str]) -> None:
        self._write("|", repeatable=False)

    def _take_times(self, found: re.Match[str]) -> None:
        if not self._repeatable:
            raise self._wrong(f"there is nothing for {found['times']} to repeat")
        self._write(found["times"] + found["lazy"], repeatable=False)

    def _take_assertion(self, found: re.Match[str]) -> None:
        self._write(ASSERTIONS[found["assertion"]], repeatable=False)

    def _take_dot(self, found: re.Match[str]) -> None:
        self._write(DOT)

    def _take_class(self, found: re.Match[str]) -> None:
        self._write(_set(_in_set(found["class"]), negated=False))

    def _take_called(self, found: re.Match[str]) -> None:
        if found["called"] not in self._numbers:
            raise self._wrong(f"there is no group {found['called']!r}")
        self._write(self._reference(self._numbers[found["called"]]))

    def _take_number(self, found: re.Match[str]) -> None:
        number = int(found["number"][:9])
        if number <= self._groups:
            self._write(self._reference(number))
            return
        # Without so many groups it is a letter by its octal number, or the digit itself.
        octal = re.match(r"[0-3]?[0-7]{1,2}", found["number"])
        length = octal.end() if octal else 1
        self._at = found.start("number") + length
        self._write(_letter(int(octal[0], 8) if octal else ord(found["number"][0])))

    def _reference(self, number: int) -> str:
        """Return a reference to a group, which matches nothing where that has not taken part."""
        if any(number == group for group, _ in self._open):
            return "(?:)"
        mark, group = 2 * number - 1, 2 * number
        return rf"(?:(?:\{mark})(?:\{group})|(?!\{mark}))"

    def _take_letter(self, found: re.Match[str]) -> None:
        self._write(_letter(_code(found["letter"])) or NOTHING)

    def _take_set(self, found: re.Match[str]) -> None:
        members: list[str] = []
        while (first := self._member()) != "]":
            if not self._ranges():
                members.append(_in_set(first))
                continue
            self._at += 1
            last = self._member()
            begin, end = _code_in_set(first), _code_in_set(last)
            if begin is None or end is None:  # then the hyphen is one
                members += [_in_set(first), _letter(ord("-")), _in_set(last)]
            elif end < begin:
                raise self._wrong("a range of letters is out of order")
            else:
                members.append(f"{_letter(begin)}-{_letter(end)}")
        self._write(_set("".join(members), negated=found["set"] == "[^"))

    def _member(self) -> str:
        """Return the next member of a set of letters as it stands there, or the set's end."""
        if self._at >= len(self._pattern):
            raise self._wrong("a set of letters is not closed")
        if self._pattern[self._at] == "]":
            self._at += 1
            return "]"
        found = _MEMBER.match(self._pattern, self._at)
        if not found:
            raise self._wrong("it ends with a backslash")
        self._at = found.end()
        return found[0]

    def _ranges(self) -> bool:
        """Say whether a range of letters goes on here."""
        rest = self._pattern[self._at : self._at + 2]
        return len(rest) == 2 and rest[0] == "-" and rest[1] != "]"

    def _wrong(self, why: str) -> ValueError:
        shown = self._pattern if len(self._pattern) <= 80 else f"{self._pattern[:80]}…"
        return ValueError(f"the pattern {shown!r} is not a regular expression of JavaScript: {why}")


def _in_set(member: str) -> str:
    code = _code_in_set(member)
    return CLASSES.get(member, member) if code is None else _letter(code)


def _code_in_set(member: str) -> int | None:
    """Return the number of the letter that *member* is; None for a class of letters."""
    if _CLASS.fullmatch(member):
        return None
    return {r"\b": 8, r"\B": ord("B")}.get(member) or _code(member)


def _code(letter: str) -> int:
    """Return the number of a letter that stands for itself, or behind a backslash."""
    if letter[0] != "\\" or len(letter) == 1:
        return ord(letter)
    kind, rest = letter[1], letter[2:]
    if kind in "ux" and rest:
        numbers = [int(digits, 16) for digits in re.findall(r"[0-9a-fA-F]{2,}", letter)]
        if len(numbers) == 2:
            return 0x10000 + (numbers[0] - 0xD800) * 0x400 + numbers[1] - 0xDC00
        return numbers[0] if numbers else int(rest.strip("{}"), 16)
    if kind == "c" and rest:
        return ord(rest) % 32
    if kind in "01234567":
        return int(letter[1:], 8)
    return CONTROLS.get(kind, ord(kind))


def _letter(code: int) -> str:
    """Return a letter; an empty text for half of one, which no text holds."""
    if code > LAST_LETTER:
        raise ValueError(f"the pattern has a letter of number {code:x}, and there is none")
    if 0xD800 <= code <= 0xDFFF:
        return ""
    return chr(code) if chr(code).isascii() and chr(code).isalnum() else rf"\x{{{code:x}}}"


def _set(members: str, *, negated: bool) -> str:
    if not members:
        return ANY if negated else NOTHING
    return f"[{'^' * negated}{members}]"
