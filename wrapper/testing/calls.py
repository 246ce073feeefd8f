"""The calls: which of the offered tools the pretended model calls in a round, and with what."""

from __future__ import annotations

import json
import re
from typing import Any

from wrapper.json_text.precision import is_exact

Body = dict[str, Any]
Call = tuple[str, Any]

# How a reminder names the function that is to be called, or the first of several.
_DEMAND = re.compile(r"call(?:ing| of) (?:the function|[a-z ]+ of these functions:) ([\w-]+)")
# What the description says of a tool that is the form of the answer.
ALWAYS = "Always answer by calling this"


def next_call(
    asked: list[str], answer: str | None, rounds: int, body: Body, plain: str = ""
) -> Call | None:
    """Return the call that *body* gets after *rounds* rounds, or None where text is due.

    *asked* are the prompt's `tool` directives, *answer* is its `json` directive, and *plain* the
    prompt where it has none.
    """
    tools = {tool["name"]: tool for tool in body.get("tools") or []}
    calls = [_read(directive, list(tools)) for directive in asked]
    due = calls[rounds : rounds + 1]
    wanted = _wanted(body.get("tool_choice") or {}, list(tools))
    if wanted is None:
        return due[0] if due else likely_call(plain, rounds, body)
    for call in due + calls:
        if call[0] in wanted:
            return call
    if not wanted:
        return None
    schema = tools[wanted[0]].get("input_schema", {})
    return wanted[0], as_written(answer) if answer else sample(schema, schema)


def further_calls(asked: list[str], body: Body) -> tuple[Call, ...]:
    """Return the calls of these directives, as far as they are offered and may be made."""
    names = [tool["name"] for tool in body.get("tools") or []]
    wanted = _wanted(body.get("tool_choice") or {}, names)
    calls = [_read(directive, names) for directive in asked]
    return tuple(call for call in calls if wanted is None or call[0] in wanted)


def likely_call(text: str, rounds: int, body: Body) -> Call | None:
    """Return the call that a model might make by itself to answer *text*, or None.

    It is of the function that a reminder asks for; or of the first one of whose name *text* has a
    word, if there was no round yet; or else of the tool that is always to be called. Its texts are
    the last name in *text*.
    """
    if not text:
        return None
    said = set(re.findall(r"[a-z]{4,}", text.lower()))
    word = (re.findall(r"(?<=\s)[A-Z]\w+", text) or ["x"])[-1]
    tools = body.get("tools") or []
    # Claude Code's own tools have capital letters.
    fitting = [tool for tool in tools if not rounds and said & set(_own_name(tool).split("_"))]
    always = [tool for tool in tools if ALWAYS in tool.get("description", "")]
    demanded = [tool for tool in tools if _own_name(tool) == _demanded(body)]
    if not demanded + fitting + always:
        return None
    tool = (demanded + fitting + always)[0]
    schema = tool.get("input_schema", {})
    return tool["name"], sample(schema, schema, word)


def sample(schema: Any, root: Body, word: str = "x") -> Any:
    """Return a small value that fits *schema*; references in it point into *root*.

    Its texts are *word*.
    """
    if not isinstance(schema, dict):
        return None
    if "$ref" in schema:
        return sample(_find(schema["$ref"], root), root, word)
    for key in ("default", "const"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return sample(schema[key][0], root, word)
    if schema.get("allOf"):
        joined = [sample(part, root, word) for part in schema["allOf"]]
        return {k: v for part in joined if isinstance(part, dict) for k, v in part.items()}
    return _by_type(schema, root, word)


def _by_type(schema: Body, root: Body, word: str) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties", {})
        asked = schema.get("required", [])
        return {name: sample(properties.get(name), root, word) for name in asked}
    if kind == "array":
        item = schema.get("items", {"type": "string"})
        return [sample(item, root, word) for _ in range(schema.get("minItems", 0))]
    if kind in ("integer", "number"):
        return schema.get("minimum", 0)
    return {"boolean": False, "null": None}.get(kind, word.ljust(schema.get("minLength", 0), "x"))


def _find(reference: str, root: Body) -> Any:
    found: Any = root
    for name in reference.removeprefix("#").split("/")[1:]:
        found = found[name]
    return found


def _demanded(body: Body) -> str | None:
    """Return the name of the function that a reminder in the last message asks for."""
    content = body["messages"][-1]["content"] if body.get("messages") else ""
    texts = [] if isinstance(content, str) else [block.get("text", "") for block in content]
    reminders = (text for text in texts if text.startswith("<system-reminder>"))
    found = [_DEMAND.search(text) for text in reminders]
    return next((match[1] for match in found if match), None)


def _own_name(tool: Body) -> str:
    return str(tool["name"]).rpartition("__")[2]


def _read(directive: str, names: list[str]) -> Call:
    """Return name and arguments; a name stands for the offered one that it is the end of."""
    name, _, arguments = directive.partition(" ")
    longer = [full for full in names if full.endswith(f"__{name}")]
    if name not in names and len(longer) == 1:
        name = longer[0]
    return name, as_written(arguments or "{}")


def as_written(text: str) -> Any:
    """Return the value of *text*, or *text* itself where its numbers need more than a double."""
    value = json.loads(text)
    return value if is_exact(text) else text


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
