"""Find the name that somebody meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# A name of seven letters may differ in one of them.
CUTOFF = 0.85


def misspelt(name: str, known: Iterable[str]) -> str | None:
    """Return the one of *known* that *name* almost certainly misspells, or None.

    Other programs have variables, too, so `API_KEY_2` and `DB_POOL_SIZE` are names of their own.
    """
    names = list(known)
    for candidate in names:
        if _letters(candidate) == _letters(name) or sorted(candidate) == sorted(name.upper()):
            return candidate
    similar = [n for n in names if abs(len(n) - len(name)) <= 1 + len(n) // 12]
    return next(iter(difflib.get_close_matches(name.upper(), similar, 1, CUTOFF)), None)


def did_you_mean(names: Iterable[str], known: Iterable[str]) -> str:
    """Return "; did you mean …?" with the ones of *known* that are most like *names*, or ""."""
    by_letters = {_letters(name): name for name in known}
    meant = []
    for name in names:
        close = difflib.get_close_matches(_letters(name), by_letters, 1)
        meant += [by_letters[letters] for letters in close]
    return f"; did you mean {','.join(dict.fromkeys(meant))}?" if meant else ""


def _letters(name: str) -> str:
    """Return the letters and digits of *name* in lower case, as in APIKEY and api-key."""
    return "".join(char for char in name.lower() if char.isalnum())
