"""Choose the tool that the scripted model calls in a round, and its arguments."""

from __future__ import annotations

import json
import re
from typing import Any

from wrapper.json_text.precision import is_exact

Body = dict[str, Any]
Call = tuple[str, Any]

# How a reminder names the function to call, or the first of several.
_DEMAND = re.compile(r"call(?:ing| of) (?:the function|[a-z ]+ of these functions:) ([\w-]+)")
# The start of the description of a tool whose arguments are the answer.
ALWAYS = "Always answer by calling this"


def next_call(
    directives: list[str], answer: str | None, rounds: int, body: Body, plain: str = ""
) -> Call | None:
    """Return the call that answers *body* after *rounds* rounds, or None to answer with text.

    *directives* are the prompt's `tool` directives, *answer* is its `json` directive, and *plain*
    is the prompt if it has no directive.
    """
    tools = {tool["name"]: tool for tool in body.get("tools") or []}
    calls = [_parse(directive, list(tools)) for directive in directives]
    due = calls[rounds : rounds + 1]
    allowed = _allowed(body.get("tool_choice") or {}, list(tools))
    if allowed is None:
        return due[0] if due else likely_call(plain, rounds, body)
    for call in due + calls:
        if call[0] in allowed:
            return call
    if not allowed:
        return None
    schema = tools[allowed[0]].get("input_schema", {})
    return allowed[0], as_written(answer) if answer else sample(schema, schema)


def further_calls(directives: list[str], body: Body) -> tuple[Call, ...]:
    """Return the calls of *directives* that `tool_choice` allows."""
    names = [tool["name"] for tool in body.get("tools") or []]
    allowed = _allowed(body.get("tool_choice") or {}, names)
    calls = [_parse(directive, names) for directive in directives]
    return tuple(call for call in calls if allowed is None or call[0] in allowed)


def likely_call(text: str, rounds: int, body: Body) -> Call | None:
    """Return the call that a model might make by itself to answer *text*, or None.

    It calls the function that a reminder demands; or in the first round the first function with a
    word of its name in *text*; or the tool that must always be called. Its strings are the last
    name in *text*.
    """
    if not text:
        return None
    words = set(re.findall(r"[a-z]{4,}", text.lower()))
    word = (re.findall(r"(?<=\s)[A-Z]\w+", text) or ["x"])[-1]
    tools = body.get("tools") or []
    # Claude Code's own tools have capital letters.
    fitting = [tool for tool in tools if not rounds and words & set(_own_name(tool).split("_"))]
    always = [tool for tool in tools if ALWAYS in tool.get("description", "")]
    demanded = [tool for tool in tools if _own_name(tool) == _demanded(body)]
    if not demanded + fitting + always:
        return None
    tool = (demanded + fitting + always)[0]
    schema = tool.get("input_schema", {})
    return tool["name"], sample(schema, schema, word)


def sample(schema: Any, root: Body, word: str = "x") -> Any:
    """Return a small value that fits *schema*, whose references point into *root*.

    Its strings are *word*.
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
        required = schema.get("required", [])
        return {name: sample(properties.get(name), root, word) for name in required}
    if kind == "array":
        item = schema.get("items", {"type": "string"})
        return [sample(item, root, word) for _ in range(schema.get("minItems", 0))]
    if kind in ("integer", "number"):
        return schema.get("minimum", 0)
    return {"boolean": False, "null": None}.get(kind, word.ljust(schema.get("minLength", 0), "x"))


def _find(reference: str, root: Body) -> Any:
    target: Any = root
    for name in reference.removeprefix("#").split("/")[1:]:
        target = target[name]
    return target


def _demanded(body: Body) -> str | None:
    """Return the name of the function that a reminder in the last message demands."""
    content = body["messages"][-1]["content"] if body.get("messages") else ""
    texts = [] if isinstance(content, str) else [block.get("text", "") for block in content]
    reminders = (text for text in texts if text.startswith("<system-reminder>"))
    matches = [_DEMAND.search(text) for text in reminders]
    return next((match[1] for match in matches if match), None)


def _own_name(tool: Body) -> str:
    return str(tool["name"]).rpartition("__")[2]


def _parse(directive: str, names: list[str]) -> Call:
    """Return name and arguments. A name may be the end of an offered tool's name."""
    name, _, arguments = directive.partition(" ")
    longer = [full for full in names if full.endswith(f"__{name}")]
    if name not in names and len(longer) == 1:
        name = longer[0]
    return name, as_written(arguments or "{}")


def as_written(text: str) -> Any:
    """Return the value of *text*, or *text* itself if a double cannot hold its numbers."""
    value = json.loads(text)
    return value if is_exact(text) else text


def _allowed(choice: Body, names: list[str]) -> list[str] | None:
    """Return the tools, one of which `tool_choice` forces; None if it forces no call.

    The list is empty for `none`, and for a name that was not offered.
    """
    match choice.get("type"):
        case "none":
            return []
        case "any":
            return names
        case "tool":
            return [name for name in names if name == choice.get("name")]
    return None
