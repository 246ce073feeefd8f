"""The blocks: what a message's parts, functions and calls are in the Messages API. Pure."""

from __future__ import annotations

import re
from typing import Any, Literal

from wrapper.json_text.precision import exact_object
from wrapper.services.claude.protocol.mcp_server import PREFIX, mcp_functions
from wrapper.services.turn import (
    Document,
    Function,
    Image,
    Message,
    OutputSchema,
    Part,
    Reminder,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)

Block = dict[str, Any]
Mode = Literal["any", "one"]

# Ids that the API takes, and the prefix of those that stand for others.
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_HEX = "hex_"


def blocks_of(message: Message, prefix: str = "") -> list[Block]:
    """Return the message's content; *prefix* stands before the names of the client's functions."""
    return [_block(part, prefix) for part in message.parts]


def messages_of(turn: Turn) -> list[Block]:
    """Return the whole conversation as the body has it; the prompt cache is to take all of it.

    A reminder is left out of the cache, since the next request's conversation does not hold it.
    """
    messages: list[Block]
    messages = [{"role": m.role, "content": blocks_of(m)} for m in turn.messages]
    said, blocks = turn.messages[-1].parts, messages[-1]["content"]
    lasting = [at for at, part in enumerate(said) if not isinstance(part, Reminder)]
    if lasting:
        blocks[lasting[-1]]["cache_control"] = {"type": "ephemeral"}
    elif len(messages) > 1:
        messages[-2]["content"][-1]["cache_control"] = {"type": "ephemeral"}
    return messages


def tools_of(turn: Turn) -> Block:
    """Return `tools` and `tool_choice` for the body of the upstream request, as far as needed.

    An answer that must fit a schema is asked for as the input of a tool of its own, which the model
    has to call: so it fits at once, in one request. An agent's tools are Claude Code's to name.
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
    """Return the client's names of the functions that may be called, by their names upstream."""
    prefix = PREFIX if mcp_functions(turn) else ""
    return {prefix + function.name: function.name for function in turn.functions}


def answer_name(turn: Turn) -> str | None:
    """Return the name of the tool that an answer in a shape is asked for with; no function has it.

    Of an agent Claude Code asks it itself, so that there it is empty.
    """
    if turn.output_schema is None or turn.profile == "agent":
        return None if turn.output_schema is None else ""
    name = turn.output_schema.name
    while any(function.name == name for function in turn.functions):
        name += "_"
    return name


def forces_a_call(turn: Turn) -> bool:
    """Say whether the model has to call something, which it cannot while it thinks."""
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
    told = {"description": function.description} if function.description else {}
    return {"name": function.name, **told, "input_schema": dict(function.parameters)}


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
            called = {"id": _id(part.id), "name": prefix + part.name, "input": arguments}
            return {"type": "tool_use", **called}
        case ToolResult():
            content = [_block(inner, prefix) for inner in part.parts]
            return {"type": "tool_result", "tool_use_id": _id(part.id), "content": content}


def _id(call_id: str) -> str:
    """Return *call_id*, or where the API would not take it another one, never that of a third."""
    if _ID.fullmatch(call_id) and not call_id.startswith(_HEX):
        return call_id
    return _HEX + call_id.encode().hex()


def _image_source(image: Image) -> Block:
    if image.url:
        return {"type": "url", "url": image.url}
    return {"type": "base64", "media_type": image.media_type, "data": image.data}


def _document_source(document: Document) -> Block:
    kind = "text" if document.media_type == "text/plain" else "base64"
    return {"type": kind, "media_type": document.media_type, "data": document.data}
