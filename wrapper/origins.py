"""Web origins as CORS_ORIGINS names them."""

from __future__ import annotations

import re
from collections.abc import Iterable

ANY = "*"
NONE = "none"
DEFAULT_PORTS = {"http": "80", "https": "443"}
HIGHEST_PORT = 65535

_LABEL = "[a-z0-9]([a-z0-9_-]*[a-z0-9])?"
_ORIGIN = re.compile(
    rf"(?P<scheme>[a-z][a-z0-9+.-]*)://"
    rf"(?P<host>(\*\.)?{_LABEL}(\.{_LABEL})*|\[[0-9a-f:.]+\])"
    r"(:(?P<port>[0-9]{1,5}|\*))?"
)


def pattern(origin: str) -> re.Pattern[str]:
    """Return a pattern for *origin*, whose host's first label and port may be `*`.

    Raises ValueError, which says what to write, if *origin* is not valid.
    """
    parts = _ORIGIN.fullmatch(origin.lower())
    if not parts or int((parts["port"] or "0").replace(ANY, "0")) > HIGHEST_PORT:
        reason = "is not an origin" if "://" in origin else "has no scheme"
        raise ValueError(
            f"{origin[:200]!r} {reason}; write scheme://host or scheme://host:port, "
            "without a path, in ASCII; only the host's first label and the port may be *"
        )
    scheme, host, port = parts["scheme"], parts["host"], parts["port"]
    label, _, rest = host.rpartition("*.")
    name = f"{_LABEL}[.]{re.escape(rest)}" if host.startswith("*.") else re.escape(label + rest)
    number = _port(port, DEFAULT_PORTS.get(scheme))
    return re.compile(rf"\A{re.escape(scheme)}://{name}{number}\Z", re.IGNORECASE | re.ASCII)


def patterns(origins: Iterable[str]) -> list[re.Pattern[str]]:
    """Return a pattern for each of *origins* except `*` and `none`."""
    return [pattern(origin) for origin in origins if origin not in (ANY, NONE)]


def _port(port: str | None, default: str | None) -> str:
    """Return a pattern for *port* as browsers write it: they omit the *default* port."""
    if port == ANY:
        return "(:[0-9]{1,5})?"
    return "" if port in (None, default) else f":{port}"
