"""The command find, whose expressions have a syntax of their own."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from wrapper.services.permissions.readonly.files import Files
from wrapper.services.permissions.readonly.syntax import Denied, Word

_BARE = "( ) ! , -not -a -and -o -or -print -print0 -prune -quit -empty -ls -depth -daystart -xdev"
_TEXT = (
    "-name -iname -path -ipath -wholename -regex -iregex -type -size -perm -user -group -links "
    "-maxdepth -mindepth -mtime -mmin -atime -amin -ctime -cmin -printf"
)
_PATH = "-newer -anewer -cnewer"
# The words of an expression, each with the kind of its value.
EXPRESSIONS = {
    **dict.fromkeys(_BARE.split(), ""),
    **dict.fromkeys(_TEXT.split(), "text"),
    **dict.fromkeys(_PATH.split(), "path"),
}


def find(words: Sequence[Word], files: Files) -> list[str]:
    """Return the rebuilt arguments of `find`. Raises Denied."""
    rest, paths = deque(words), []
    while rest and not _begins_expression(rest[0].text):
        paths += [_plain(path) for path in files.expand(rest.popleft())]
    rebuilt = ["-P", *(paths or ["."])]
    while rest:
        name = rest.popleft().text
        if name not in EXPRESSIONS:
            raise Denied(f"find has no {name} here; it has: {' '.join(EXPRESSIONS)}")
        rebuilt.append(name)
        if kind := EXPRESSIONS[name]:
            if not rest:
                raise Denied(f"{name} of find needs a value")
            value = rest.popleft().text
            if kind == "path":
                files.check(value)
            rebuilt.append(value)
    return rebuilt


def _begins_expression(text: str) -> bool:
    return text.startswith("-") or text in ("(", ")", "!", ",")


def _plain(path: str) -> str:
    """Return *path* in a form that find cannot read as part of an expression."""
    return f"./{path}" if path[:1] in ("-", "(", ")", "!", ",") else path
