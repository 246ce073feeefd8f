"""The calls: which of the offered tools the pretended model calls in a round, and with what."""

from __future__ import annotations

import json
from typing import Any

Body = dict[str, Any]
Call = tuple[str, Any]


def next_call(asked: list[str], answer: str | None, rounds: int, body: Body) -> Call | None:
    """Return the call that *body* gets after *rounds* rounds, or None where text is due.

    *asked* are the prompt's `tool` directives, *answer* is its `json` directive.
    """
    tools = {tool["name"]: tool for tool in body.get("tools") or []}
    calls = [_read(directive, list(tools)) for directive in asked]
    due = calls[rounds : rounds + 1]
    wanted = _wanted(body.get("tool_choice") or {}, list(tools))
    if wanted is None:
        return due[0] if due else None
    for call in due + calls:
        if call[0] in wanted:
            return call
    if not wanted:
        return None
    schema = tools[wanted[0]].get("input_schema", {})
    return wanted[0], json.loads(answer) if answer else sample(schema, schema)


def further_calls(asked: list[str], body: Body) -> tuple[Call, ...]:
    """Return the calls of these directives, as far as they are offered and may be made."""
    names = [tool["name"] for tool in body.get("tools") or []]
    wanted = _wanted(body.get("tool_choice") or {}, names)
    calls = [_read(directive, names) for directive in asked]
    return tuple(call for call in calls if wanted is None or call[0] in wanted)


def sample(schema: Any, root: Body) -> Any:
    """Return a small value that fits *schema*; references in it point into *root*."""
    if not isinstance(schema, dict):
        return None
    if "$ref" in schema:
        return sample(_find(schema["$ref"], root), root)
    for key in ("default", "const"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return sample(schema[key][0], root)
    if schema.get("allOf"):
        joined = [sample(part, root) for part in schema["allOf"]]
        return {k: v for part in joined if isinstance(part, dict) for k, v in part.items()}
    return _by_type(schema, root)


def _by_type(schema: Body, root: Body) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: sample(properties.get(name), root) for name in schema.get("required", [])}
    if kind == "array":
        item = schema.get("items", {"type": "string"})
        return [sample(item, root) for _ in range(schema.get("minItems", 0))]
    if kind in ("integer", "number"):
        return schema.get("minimum", 0)
    return {"boolean": False, "null": None}.get(kind, "x" * max(1, schema.get("minLength", 1)))


def _find(reference: str, root: Body) -> Any:
    found: Any = root
    for name in reference.removeprefix("#").split("/")[1:]:
        found = found[name]
    return found


def _read(directive: str, names: list[str]) -> Call:
    """Return name and arguments; a name stands for the offered one that it is the end of."""
    name, _, arguments = directive.partition(" ")
    longer = [full for full in names if full.endswith(f"__{name}")]
    if name not in names and len(longer) == 1:
        name = longer[0]
    return name, json.loads(arguments or "{}")


def _wanted(choice: Body, names: list[str]) -> list[str] | None:
    """Return the names that `tool_choice` leaves the model where it must call; None: it need not.

    With `none` and with a name that was not offered there is nothing to call.
    """
    match choice.get("type"):
        case "none":
            return []
        case "any":
            return names
        case "tool":
            return [name for name in names if name == choice.get("name")]
    return None
