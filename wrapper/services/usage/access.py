"""Access to what keys have used: everyone sees their own, and admins see all."""

from __future__ import annotations

from wrapper.errors import PermissionDenied
from wrapper.services.principal import Principal


def readable_key(principal: Principal, key: str | None, what: str) -> str | None:
    """Return the key to read for *principal*, who asks for *key*; None stands for all keys.

    Raises PermissionDenied, which names *what* is kept from others.
    """
    if principal.admin:
        return key
    if key not in (None, principal.name):
        raise PermissionDenied(
            f"{principal.name!r} may not see {what}; an admin's key may.", param="key"
        )
    return principal.name
