"""Translate messages, functions and tool choices into the Messages API's content blocks."""

from __future__ import annotations

import re
from typing import Any, Literal

from wrapper.json_text.precision import exact_object
from wrapper.services.claude.protocol.mcp_server import PREFIX, mcp_functions
from wrapper.services.tools.mcp import tool_named
from wrapper.services.turn import (
    Document,
    Function,
    Image,
    Message,
    OutputSchema,
    Part,
    RedactedThinking,
    Reminder,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)

Block = dict[str, Any]
Mode = Literal["any", "one"]

# The ids that the API accepts, and the prefix of ids that replace others.
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_HEX = "hex_"


def blocks_of(message: Message, prefix: str = "") -> list[Block]:
    """Return the message's content. *prefix* precedes the names of the client's functions."""
    return [_block(part, prefix) for part in message.parts]


def messages_of(turn: Turn) -> list[Block]:
    """Return the whole conversation for the request body, marked for the prompt cache.

    The mark comes before a reminder, since the next request's conversation does not hold it.
    """
    messages: list[Block]
    messages = [{"role": m.role, "content": blocks_of(m)} for m in turn.messages]
    parts, blocks = turn.messages[-1].parts, messages[-1]["content"]
    lasting = [index for index, part in enumerate(parts) if not isinstance(part, Reminder)]
    if lasting:
        blocks[lasting[-1]]["cache_control"] = {"type": "ephemeral"}
    elif len(messages) > 1:
        messages[-2]["content"][-1]["cache_control"] = {"type": "ephemeral"}
    return messages


def tools_of(turn: Turn) -> Block:
    """Return `tools` and `tool_choice` for the upstream request body, without the API's defaults.

    For an answer that must fit a schema they hold a tool that the model has to call with the
    answer as its input: so it fits at the first request. An agent's tools come from Claude Code.
    """
    if turn.profile == "agent":
        return _choice(turn.tool_choice, PREFIX) if mcp_functions(turn) else {}
    tools = [_tool(function) for function in turn.functions]
    if not turn.output_schema:
        return {"tools": tools, **_choice(turn.tool_choice)} if tools else {}
    answer = answer_name(turn) or ""
    tool_choice = turn.tool_choice
    if turn.output_schema.forced and tool_choice.mode != "one":
        # With functions the model may call one of them instead, before it answers.
        may_call = turn.functions and tool_choice.mode != "none"
        mode: Mode = "any" if may_call else "one"
        tool_choice = ToolChoice(mode, answer, tool_choice.parallel)
    elif tool_choice.mode == "none":
        tools, tool_choice = [], ToolChoice()
    return {"tools": [*tools, _answer(turn.output_schema, answer)], **_choice(tool_choice)}


def names_of(turn: Turn) -> dict[str, str]:
    """Return the client's function names by their names upstream."""
    prefix = PREFIX if mcp_functions(turn) else ""
    return {prefix + function.name: function.name for function in turn.functions}


def answer_name(turn: Turn) -> str | None:
    """Return the name of the tool for an answer that must fit a schema; no function has it.

    It is None without a schema, and empty for an agent, where Claude Code brings the tool.
    """
    if turn.output_schema is None or turn.profile == "agent":
        return None if turn.output_schema is None else ""
    name = turn.output_schema.name
    while any(function.name == name for function in turn.functions):
        name += "_"
    return name


def forces_a_call(turn: Turn) -> bool:
    """Say whether the model has to call a tool. It cannot think then."""
    return tools_of(turn).get("tool_choice", {}).get("type") in ("any", "tool")


def _choice(tool_choice: ToolChoice, prefix: str = "") -> Block:
    mode = "auto" if tool_choice.demands and not tool_choice.forced else tool_choice.mode
    choice: Block = {"type": {"one": "tool"}.get(mode, mode)}
    if mode == "one":
        choice["name"] = prefix + tool_choice.name
    if not tool_choice.parallel and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = True
    return {} if choice == {"type": "auto"} else {"tool_choice": choice}


def _tool(function: Function) -> Block:
    described = {"description": function.description} if function.description else {}
    return {"name": function.name, **described, "input_schema": dict(function.parameters)}


def _answer(output_schema: OutputSchema, name: str) -> Block:
    return {
        "name": name,
        "description": "Gives your answer to the user. Always answer by calling this, once, and "
        "write no text beside it.",
        "input_schema": dict(output_schema.schema),
    }


def _block(part: Part, prefix: str) -> Block:
    match part:
        case str():
            return {"type": "text", "text": part}
        case Image():
            return {"type": "image", "source": _image_source(part)}
        case Document():
            titled = {"title": part.title} if part.title else {}
            return {"type": "document", "source": _document_source(part), **titled}
        case ToolCall():
            arguments, _ = exact_object(part.arguments)
            name = tool_named(part.server, part.name) if part.server else prefix + part.name
            call = {"id": call_id(part.id), "name": name, "input": arguments}
            return {"type": "tool_use", **call}
        case ToolResult():
            content = [_block(inner, prefix) for inner in part.parts]
            return {"type": "tool_result", "tool_use_id": call_id(part.id), "content": content}
        case Thinking():
            return {"type": "thinking", "thinking": part.text, "signature": part.signature}
        case RedactedThinking():
            return {"type": "redacted_thinking", "data": part.data}


def call_id(client_id: str) -> str:
    """Return *client_id*, or a unique replacement if the API would refuse it."""
    if _ID.fullmatch(client_id) and not client_id.startswith(_HEX):
        return client_id
    return _HEX + client_id.encode().hex()


def _image_source(image: Image) -> Block:
    if image.url:
        return {"type": "url", "url": image.url}
    return {"type": "base64", "media_type": image.media_type, "data": image.data}


def _document_source(document: Document) -> Block:
    kind = "text" if document.media_type == "text/plain" else "base64"
    return {"type": kind, "media_type": document.media_type, "data": document.data}
