"""The blocks: what a message's parts, functions and calls are in the Messages API. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

from wrapper.services.turn import (
    Call,
    Document,
    Function,
    Image,
    Message,
    Part,
    Result,
    Shape,
    Turn,
)

Block = dict[str, Any]

# Ids that the API takes, and the prefix of those that stand for others.
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_HEX = "hex_"


def blocks_of(message: Message) -> list[Block]:
    return [_block(part) for part in message.parts]


def tools_of(turn: Turn) -> Block:
    """Return `tools` and `tool_choice` for the body of the upstream request, as far as needed.

    An answer that must fit a schema is asked for as the input of a tool of its own, which the model
    has to call: so it fits at once, in one request.
    """
    tools = [_tool(function) for function in turn.functions]
    if turn.shape:
        tools.append(_answer(turn.shape, answer_name(turn)))
    return {"tools": tools, **_choice(turn)} if tools else {}


def answer_name(turn: Turn) -> str:
    """Return the name of the tool that the answer is asked for with; no function has it."""
    name = turn.shape.name if turn.shape else ""
    while any(function.name == name for function in turn.functions):
        name += "_"
    return name


def forces_a_call(turn: Turn) -> bool:
    """Say whether the model has to call something, which it cannot while it thinks."""
    return turn.shape is not None or turn.calling.mode in ("any", "one")


def _choice(turn: Turn) -> Block:
    calling = turn.calling
    choice: Block = {"type": {"one": "tool"}.get(calling.mode, calling.mode)}
    if calling.mode == "one":
        choice["name"] = calling.name
    elif turn.shape:
        # With functions the model may call one of them instead, before it answers.
        may_call = turn.functions and calling.mode != "none"
        choice = {"type": "any"} if may_call else {"type": "tool", "name": answer_name(turn)}
    if not calling.parallel and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = True
    return {} if choice == {"type": "auto"} else {"tool_choice": choice}


def _tool(function: Function) -> Block:
    told = {"description": function.description} if function.description else {}
    return {"name": function.name, **told, "input_schema": dict(function.parameters)}


def _answer(shape: Shape, name: str) -> Block:
    return {
        "name": name,
        "description": "Gives your answer to the user. Call it with the answer, once.",
        "input_schema": dict(shape.schema),
    }


def _block(part: Part) -> Block:
    match part:
        case str():
            return {"type": "text", "text": part}
        case Image():
            return {"type": "image", "source": _image_source(part)}
        case Document():
            titled = {"title": part.title} if part.title else {}
            return {"type": "document", "source": _document_source(part), **titled}
        case Call():
            arguments = json.loads(part.arguments)
            return {"type": "tool_use", "id": _id(part.id), "name": part.name, "input": arguments}
        case Result():
            content = [_block(inner) for inner in part.parts]
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
