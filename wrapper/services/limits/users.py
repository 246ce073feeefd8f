"""Users below a key: whom a request names, as far as its key limits users."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from wrapper.errors import InvalidRequest
from wrapper.services.principal import EndUser, Principal
from wrapper.services.request import TurnRequest

# Claude Code's ids are JSON, and were text before. Both end with the id of its session.
_LONGEST_JSON = 1000
_SESSION = re.compile(r"(user_[0-9a-f]{64}_account_[0-9a-f-]*)_session_[0-9a-f-]+", re.ASCII)


def user_of(request: TurnRequest, key: Principal) -> EndUser:
    """Return the user of *key* whom *request* names.

    Raises InvalidRequest if it names none and the key requires one.
    """
    if key.requires_user and not request.user:
        raise InvalidRequest(
            f"{request.user_param}: {key.label} needs to know for which user a request is "
            "(requires_user); name the user.",
            param=request.user_param,
            code="missing_required_parameter",
        )
    return EndUser.named(key, _without_session(request.user))


def with_counted_user(request: TurnRequest, key: Principal) -> TurnRequest:
    """Return *request*, whose parameter for the user has an effect if *key* limits users."""
    if not (key.limits_users and request.user_param in request.idle):
        return request
    idle = tuple(name for name in request.idle if name != request.user_param)
    return replace(request, idle=idle)


def _without_session(identifier: str) -> str:
    """Return *identifier* without the id of Claude Code's session, as users have many sessions."""
    if match := _SESSION.fullmatch(identifier):
        return match[1]
    if not identifier.startswith("{") or len(identifier) > _LONGEST_JSON:
        return identifier
    try:
        parts = json.loads(identifier)
    except (ValueError, RecursionError):
        return identifier
    parts.pop("session_id", None)
    return json.dumps(parts, sort_keys=True)
