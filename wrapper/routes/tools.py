"""The routes of the tools that agents have, and of what limits them."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response, request

from wrapper.auth import key_editor
from wrapper.auth.key_file import KeyFile, KeysError
from wrapper.errors import InvalidRequest, KeyNotFound, PermissionDenied, Unavailable
from wrapper.routes.context import current_gateway, principal
from wrapper.routes.json_body import load
from wrapper.routes.json_response import reply
from wrapper.routes.operation import operation
from wrapper.schemas import examples, state_examples
from wrapper.schemas.base import load_data
from wrapper.schemas.tools import (
    CONFIG_OWNER,
    TOOL_CONFIG,
    TOOLS_QUERY,
    ConfigOwner,
    ConfigOwnerSchema,
    ToolConfigSchema,
    ToolConfigStateSchema,
    ToolListSchema,
    ToolsQuerySchema,
    ToolStatsSchema,
)
from wrapper.schemas.usage import USAGE_QUERY, UsageQuerySchema
from wrapper.services.limits.tool_access import Access
from wrapper.services.principal import Principal
from wrapper.services.tools.config import ToolConfig
from wrapper.services.tools.tool import Tool
from wrapper.services.turns.tool_service import ConfigState, ToolService

tools = Blueprint("tools", __name__)

log = logging.getLogger(__name__)


@tools.get("/tools")
@operation(
    query=ToolsQuerySchema,
    answers={200: ToolListSchema},
    answer=state_examples.TOOLS,
    errors=(404, 502, 503),
)
def list_tools() -> Response:
    """List every tool that agents may have, and whether the caller's agents may use it."""
    query = load_data(TOOLS_QUERY, request.args.to_dict())
    listing = _service().tools(principal(), query.get("session_id"))
    unlisted = [{"origin": name, "reason": why} for name, why in listing.unlisted.items()]
    data = [_tool_body(tool, access) for tool, access in listing.tools]
    return reply({"object": "list", "data": data, "unlisted": unlisted})


@tools.get("/tools/stats")
@operation(
    query=UsageQuerySchema,
    answers={200: ToolStatsSchema},
    answer=state_examples.TOOL_STATS,
    errors=(503,),
)
def read_stats() -> Response:
    """Report how tools were used from `start` to `end`; by default, this month until today."""
    gateway = current_gateway()
    defaults = {"end": gateway.limits.ledger.today().isoformat()}
    query = load_data(USAGE_QUERY, {**defaults, **request.args.to_dict()})
    return reply(
        gateway.observers.tool_stats.report(principal(), query.start, query.end, query.key)
    )


@tools.get("/tools/config")
@operation(
    query=ConfigOwnerSchema,
    answers={200: ToolConfigStateSchema},
    answer=state_examples.TOOL_CONFIG,
    errors=(404, 503),
)
def read_config() -> Response:
    """Return the tool config of a session or a key; by default, of the caller's own key."""
    owner = _owner()
    if owner.session_id is not None:
        state = _service().session_config(principal(), owner.session_id)
    else:
        state = _service().key_config(_key(owner.key))
    return _reply_config(owner, state)


@tools.put("/tools/config")
@operation(
    query=ConfigOwnerSchema,
    body=ToolConfigSchema,
    examples=examples.TOOL_CONFIG,
    answers={200: ToolConfigStateSchema},
    answer=state_examples.TOOL_CONFIG,
    errors=(404, 409, 503),
)
def set_config() -> Response:
    """Set the tool config of the caller's session or, as an admin, of a key.

    It replaces the earlier one, can only narrow what settings and key allow, and holds from the
    next turn on.
    """
    owner = _owner()
    if owner.session_id is not None:
        config: ToolConfig = load(TOOL_CONFIG)
        state = _service().set_session_config(principal(), owner.session_id, config)
    elif owner.key is not None:
        state = _set_key_config(owner.key)
    else:
        raise InvalidRequest("Whose tool config? Name a session_id or a key in the query.")
    return _reply_config(owner, state)


def _set_key_config(name: str) -> ConfigState:
    if not principal().admin:
        raise PermissionDenied("Only an admin's key may set a key's tool config.", param="key")
    key, config = _key_in_file(name), load(TOOL_CONFIG)
    _service().check_key_config(key, config)
    try:
        key_editor.configure(current_gateway().settings.api_keys_file, name, config.limits())
    except KeysError as error:
        log.error("the tool config of the key %s cannot be set: %s", name, error)
        raise Unavailable(
            "The keys file cannot be changed; the gateway's log says why.", retry=False
        ) from None
    return _service().key_config(_key_in_file(name))


def _key(name: str | None) -> Principal:
    """Return the caller, or the holder of the key *name*, whom only an admin may see."""
    if name in (None, principal().name):
        return principal()
    if not principal().admin:
        raise PermissionDenied("Only an admin's key may see another's tool config.", param="key")
    return _key_in_file(str(name))


def _key_in_file(name: str) -> Principal:
    keys: KeyFile | None = current_gateway().keys
    if keys is None:
        raise InvalidRequest("This gateway has no keys file (API_KEYS_FILE).", param="key")
    for holder in keys.principals():
        if holder.name == name:
            return holder
    raise KeyNotFound(f"The keys file has no key {name[:80]!r}.", param="key")


def _service() -> ToolService:
    service: ToolService = current_gateway().tools
    return service


def _owner() -> ConfigOwner:
    owner: ConfigOwner = load_data(CONFIG_OWNER, request.args.to_dict())
    return owner


def _tool_body(tool: Tool, access: Access) -> dict[str, Any]:
    rule = {"source": access.source, "name": access.rule} if access.rule else None
    return {
        "object": "tool",
        "name": tool.name,
        "description": tool.description,
        "input_schema": tool.input_schema,
        "origin": tool.origin,
        "access": access.access,
        "reason": access.reason,
        "rule": rule,
    }


def _reply_config(owner: ConfigOwner, state: ConfigState) -> Response:
    if owner.session_id is not None:
        whose = {"session_id": owner.session_id}
    else:
        whose = {"key": owner.key or principal().name}
    configs = {"config": asdict(state.config), "effective": asdict(state.effective)}
    return reply({"object": "tools.config", **whose, **configs})
