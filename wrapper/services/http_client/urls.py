"""URLs whose host is the same to all programs that read them."""

from __future__ import annotations

import re

# Without a login, a backslash and what else only some programs take for the end of the host.
CLEAR_BEGIN = r"https?://(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[1-9][0-9]{0,4})?"
_BEGIN = re.compile(rf"{CLEAR_BEGIN}(?=[/?#]|\Z)")


def clear_host(url: str) -> str:
    """Return the host of *url*, or nothing if programs may disagree about which one it is."""
    found = _BEGIN.match(url)
    return found["host"].lower() if found else ""
