"""The tools of a response, and which of them the model may or must call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from marshmallow import ValidationError, fields

from wrapper.json_text import Json
from wrapper.schemas.base import CodedMessage
from wrapper.schemas.chat.tool_choice import MODES, RequestedToolChoice
from wrapper.schemas.chat.tools import MAX_FUNCTIONS, FunctionSchema
from wrapper.schemas.mcp_servers import RequestedServers
from wrapper.schemas.responses.mcp_tools import MCP, shown, with_mcp_tool
from wrapper.services.fronts.tool_names import INPUT, ToolName
from wrapper.services.turn import Function, ToolChoice

# Hosted tools that some clients name in every request. They are left out, and named.
OMITTED = ("web_search", "image_generation", "tool_search")
# A function that stands for a tool, or for one of a namespace: its path below it, its name, itself.
Offered = tuple[str, ToolName, Function]
_FUNCTION = FunctionSchema()
_CUSTOM_PARAMETERS: Mapping[str, Any] = {
    "type": "object",
    "properties": {INPUT: {"type": "string"}},
    "required": [INPUT],
}


class _TooManyFunctions(Exception):
    """Raised before further functions are loaded, which takes time."""


@dataclass
class LoadedTools:
    """The tools of a request: the functions that stand for them, and how the client names these.

    `kept` are the tools as sent, without those `omitted`, whose paths follow. `adapted` are the
    paths of what reaches the model in words. `servers` are the MCP servers that the request brings.
    """

    functions: list[Function] = field(default_factory=list)
    names: dict[str, ToolName] = field(default_factory=dict)
    kept: list[Json] = field(default_factory=list)
    omitted: list[str] = field(default_factory=list)
    adapted: list[str] = field(default_factory=list)
    servers: RequestedServers = field(default_factory=RequestedServers)

    def add(self, path: str, tool: Any) -> None:
        """Add *tool*, whose path is *path*. Raises ValidationError."""
        if not isinstance(tool, dict):
            raise ValidationError("Not a valid object.")
        if str(tool.get("type")).startswith(OMITTED):
            self.omitted.append(path)
            return
        if tool.get("type") == MCP:
            self._add_server(path, tool)
            return
        self.kept.append(tool)
        for below, name, function in _functions_of(tool):
            joined = name.joined
            if joined in self.names:
                raise ValidationError({"name": [f"Another tool is named {name.name!r}."]})
            self.names[joined] = name
            named = function if function.name == joined else replace(function, name=joined)
            self.functions.append(named)
            if name.kind == "custom" and _grammar_of(tool):
                self.adapted.append(f"{path}{below}.format")
            elif function.original is not None:
                self.adapted.append(f"{path}{below}.parameters")
            if len(self.functions) > MAX_FUNCTIONS:
                raise _TooManyFunctions

    def _add_server(self, path: str, tool: Json) -> None:
        self.servers = with_mcp_tool(self.servers, tool, path)
        self.kept.append(shown(tool))
        if tool.get("server_description"):
            self.omitted.append(f"{path}.server_description")


class ToolsField(fields.Field[LoadedTools]):
    """Functions, custom tools, namespaces of both, and MCP servers."""

    json_schema: ClassVar[Json] = {"type": "array", "items": {"type": "object"}}

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> LoadedTools:
        if not isinstance(value, list):
            raise ValidationError("Not a valid array.")
        loaded = LoadedTools()
        for index, tool in enumerate(value):
            try:
                loaded.add(f"tools.{index}", tool)
            except _TooManyFunctions:
                raise ValidationError(f"Longer than maximum length {MAX_FUNCTIONS}.") from None
            except ValidationError as error:
                raise ValidationError({index: error.messages}) from None
        return loaded


class ToolChoiceField(fields.Field[RequestedToolChoice]):
    """A mode, one tool by name, or a list of allowed tools."""

    json_schema: ClassVar[Json] = {
        "description": "Every name must be that of a tool in the request.",
        "anyOf": [{"enum": list(MODES)}, {"type": "object"}],
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> RequestedToolChoice:
        if isinstance(value, str):
            if value not in MODES:
                raise ValidationError(f"Must be one of: {', '.join(MODES)}; or an object.")
            return MODES[value]
        if not isinstance(value, dict):
            raise ValidationError("Not a valid string or object.")
        if value.get("type") == "allowed_tools":
            return _allowed_tools(value)
        return RequestedToolChoice(ToolChoice("one", _name_of(value)))


def _functions_of(tool: Json, namespace: str = "") -> Iterator[Offered]:
    """Yield the functions that stand for *tool*."""
    kind = tool.get("type")
    if not isinstance(kind, str) or kind not in LOADERS or (namespace and kind == "namespace"):
        message = f"Tools of type {str(kind)[:40]!r} are not supported; leave it out."
        raise ValidationError({"type": [CodedMessage(message, "unsupported_value")]})
    yield from LOADERS[kind](tool, namespace)


def _function(tool: Json, namespace: str) -> Iterator[Offered]:
    function: Function = _FUNCTION.load(tool)
    yield "", ToolName(function.name, "function", namespace), function


def _custom(tool: Json, namespace: str) -> Iterator[Offered]:
    function: Function = _FUNCTION.load({**tool, "parameters": _CUSTOM_PARAMETERS})
    described = "\n\n".join(filter(None, (function.description, _grammar_of(tool))))
    name = ToolName(function.name, "custom", namespace)
    yield "", name, replace(function, description=described)


def _functions_within(namespace: Json, _: str) -> Iterator[Offered]:
    name, tools = namespace.get("name"), namespace.get("tools")
    if not isinstance(name, str) or not name:
        raise ValidationError({"name": ["Not a valid string."]})
    if not isinstance(tools, list):
        raise ValidationError({"tools": ["Not a valid array."]})
    for index, tool in enumerate(tools):
        try:
            if not isinstance(tool, dict):
                raise ValidationError("Not a valid object.")
            for below, tool_name, function in _functions_of(tool, name):
                yield f".tools.{index}{below}", tool_name, function
        except ValidationError as error:
            raise ValidationError({"tools": {index: error.messages}}) from None


def _grammar_of(tool: Json) -> str:
    """Return what the description of a custom tool says of its grammar, which nothing enforces."""
    form = tool.get("format")
    if not isinstance(form, dict) or form.get("type") != "grammar":
        return ""
    return f"Its input must follow this {form.get('syntax')} grammar:\n{form.get('definition')}"


def _allowed_tools(value: Json) -> RequestedToolChoice:
    modes = {"auto": MODES["auto"], "required": MODES["required"]}
    mode, tools = value.get("mode"), value.get("tools")
    if not isinstance(mode, str) or mode not in modes:
        raise ValidationError({"mode": [f"Must be one of: {', '.join(modes)}."]})
    if not isinstance(tools, list) or not tools:
        raise ValidationError({"tools": ["Not a valid array with a tool."]})
    return RequestedToolChoice(modes[mode].tool_choice, tuple(map(_name_of, tools)))


def _name_of(tool: Any) -> str:
    """Return the name of the function for a *tool* that a choice names."""
    if not isinstance(tool, dict) or tool.get("type") not in ("function", "custom"):
        message = "Only tools of the types function and custom can be chosen."
        raise ValidationError({"type": [CodedMessage(message, "unsupported_value")]})
    name, namespace = tool.get("name"), tool.get("namespace") or ""
    if not isinstance(name, str) or not name or not isinstance(namespace, str):
        raise ValidationError({"name": ["Not a valid string."]})
    return ToolName(name, namespace=namespace).joined


LOADERS: Mapping[str, Callable[[Json, str], Iterator[Offered]]] = {
    "function": _function,
    "custom": _custom,
    "namespace": _functions_within,
}
