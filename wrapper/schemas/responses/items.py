"""The input of a response: a text, or items, each loaded to what it adds to the conversation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

from marshmallow import ValidationError, fields

from wrapper.json_text import Json
from wrapper.json_text.precision import write_exact
from wrapper.schemas.base import CodedMessage
from wrapper.schemas.chat.content_parts import load_file_data, load_image_url
from wrapper.services.fronts.tool_names import ToolName, custom_arguments
from wrapper.services.messages.items import InputItem, Item, ItemReference, bound_thinking
from wrapper.services.messages.thinking_codec import THINKING_PREFIX, load_thinking
from wrapper.services.turn import Approved, Part, ToolCall

_TEXTS = {"input_text": "text", "output_text": "text", "text": "text", "refusal": "refusal"}
ROLES: Mapping[str, tuple[str, ...]] = {
    "user": ("input_text", "input_image", "input_file", "output_text", "text"),
    "assistant": ("output_text", "refusal", "input_text", "text"),
    "system": ("input_text", "text"),
    "developer": ("input_text", "text"),
}
RESULT_PARTS = ("input_text", "input_image", "input_file", "output_text", "text")
# Items that are left out and named, since clients send them along with what they need.
OMITTED = ("web_search_call", "mcp_list_tools")
# What the model gets where the call runs no more, and where it was not approved.
APPROVED = Approved("(The result of this call is not kept.)")
DENIED = "The user did not approve this call."


class InputField(fields.Field[tuple[InputItem, ...]]):
    """A text, or an array of items."""

    json_schema: ClassVar[Json] = {
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}]
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> tuple[InputItem, ...]:
        if isinstance(value, str):
            return (InputItem({"role": "user", "content": value}, Item("input", "user", (value,))),)
        if not isinstance(value, list):
            raise ValidationError("Not a valid string or array of items.")
        if not value:
            raise ValidationError("Must hold an item.")
        added = bound_thinking(_load_item(index, item) for index, item in enumerate(value))
        return tuple(map(InputItem, value, added))


def omitted_paths(items: Iterable[InputItem]) -> Iterator[str]:
    """Yield the paths of what is left out of an input."""
    for index, item in enumerate(items):
        if item.added is None:
            reasoning = item.sent.get("type") == "reasoning"
            yield f"input.{index}{'.encrypted_content' if reasoning else ''}"


def load_stored_item(path: str, item: Json) -> Item | None:
    """Return what a stored item adds to the conversation, which is not loaded the first time.

    It has the *path* of what refers to it. Raises ValueError.
    """
    try:
        loaded = _load(path, item)
    except ValidationError as error:
        raise ValueError(str(error)) from None
    return loaded if isinstance(loaded, Item) else None


def _load_item(index: int, item: Any) -> Item | ItemReference | None:
    """Return what the item number *index* adds, or None if it is left out."""
    try:
        if not isinstance(item, dict):
            raise ValidationError("Not a valid object.")
        return _load(f"input.{index}", item)
    except ValidationError as error:
        raise ValidationError({index: error.messages}) from None


def _load(path: str, item: Json) -> Item | ItemReference | None:
    kind = item.get("type") or ("item_reference" if "role" not in item else "message")
    if kind in OMITTED or (kind == "reasoning" and not _is_ours(item.get("encrypted_content"))):
        return None
    if kind == "item_reference":
        return ItemReference(path, _text_of(item, "id"))
    if not isinstance(kind, str) or kind not in LOADERS:
        shown = f"{kind[:40]!r}" if isinstance(kind, str) else "this kind"
        raise _unsupported("type", f"Items of type {shown} are not supported.")
    return LOADERS[kind](path, item)


def _load_message(path: str, item: Json) -> Item:
    role = item.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise ValidationError({"role": [f"Must be one of: {', '.join(ROLES)}."]})
    parts, paths = _load_content(item, "content", path, ROLES[role])
    return Item(path, role, parts, part_paths=paths)


def _name_of(call: Json) -> str:
    """Return the name of the function that a past call was made to."""
    namespace = call.get("namespace") or ""
    if not isinstance(namespace, str):
        raise ValidationError({"namespace": ["Not a valid string."]})
    return ToolName(_text_of(call, "name"), namespace=namespace).joined


def _load_call(path: str, item: Json) -> Item:
    name = _name_of(item)
    arguments = item.get("arguments")
    if not isinstance(arguments, str):
        raise ValidationError({"arguments": ["Not a valid string."]})
    call = ToolCall(_text_of(item, "call_id"), name, arguments if arguments.strip() else "{}")
    return Item(path, "assistant", (call,))


def _load_custom_call(path: str, item: Json) -> Item:
    name = _name_of(item)
    if not isinstance(item.get("input"), str):
        raise ValidationError({"input": ["Not a valid string."]})
    call = ToolCall(_text_of(item, "call_id"), name, custom_arguments(item["input"]))
    return Item(path, "assistant", (call,))


def _is_ours(text: Any) -> bool:
    """Say whether *text* is thinking in the form that the gateway gave it."""
    return isinstance(text, str) and text.startswith(THINKING_PREFIX)


def _load_reasoning(path: str, item: Json) -> Item:
    try:
        return Item(path, "assistant", load_thinking(item["encrypted_content"]))
    except ValueError as error:
        message = f"It was changed since the gateway sent it ({error}); send it unchanged."
        coded = CodedMessage(message, "invalid_encrypted_content")
        raise ValidationError({"encrypted_content": [coded]}) from None


def _load_output(path: str, item: Json) -> Item:
    parts, paths = _load_content(item, "output", path, RESULT_PARTS)
    return Item(path, "tool", parts, _text_of(item, "call_id"), paths)


def _load_approval_request(path: str, item: Json) -> Item:
    call = _mcp_call(item)
    return Item(path, "assistant", (call,), id_field="id")


def _load_approval_response(path: str, item: Json) -> Item:
    approved, reason = item.get("approve"), item.get("reason") or ""
    if not isinstance(approved, bool):
        raise ValidationError({"approve": ["Not a valid boolean."]})
    if not isinstance(reason, str):
        raise ValidationError({"reason": ["Not a valid string."]})
    result = APPROVED if approved else f"{DENIED} {reason}".rstrip()
    name = "approval_request_id"
    return Item(path, "tool", (result,), _text_of(item, name), (f"{path}.reason",), name)


def _load_mcp_call(path: str, item: Json) -> Item | None:
    """Return the call, None where it needed no approval: those are left out."""
    approved = item.get("approval_request_id")
    if approved is None:
        return None
    output = item.get("output")
    if output is None:
        output = f"Error: {write_exact(item.get('error'))}"
    if not isinstance(output, str):
        raise ValidationError({"output": ["Not a valid string."]})
    if not isinstance(approved, str):
        raise ValidationError({"approval_request_id": ["Not a valid string."]})
    call = _mcp_call(item)
    return Item(path, "assistant", (call,), approved, id_field="id", output=output)


def _mcp_call(item: Json) -> ToolCall:
    arguments = item.get("arguments")
    if not isinstance(arguments, str):
        raise ValidationError({"arguments": ["Not a valid string."]})
    names = _text_of(item, "name"), arguments if arguments.strip() else "{}"
    return ToolCall(_text_of(item, "id"), *names, server=_text_of(item, "server_label"))


def _load_content(
    item: Json, name: str, path: str, kinds: tuple[str, ...]
) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """Return the parts of the content in *item*, and their paths."""
    content = item.get(name)
    if isinstance(content, str):
        return (content,), (f"{path}.{name}",)
    if not isinstance(content, list):
        raise ValidationError({name: ["Not a valid string or array of parts."]})
    try:
        parts = tuple(_load_part(index, part, kinds) for index, part in enumerate(content))
    except ValidationError as error:
        raise ValidationError({name: error.messages}) from None
    return parts, tuple(f"{path}.{name}.{index}" for index in range(len(parts)))


def _load_part(index: int, part: Any, kinds: tuple[str, ...]) -> Part:
    if not isinstance(part, dict):
        raise ValidationError({index: ["Not a valid object."]})
    kind = part.get("type")
    try:
        if not isinstance(kind, str) or kind not in kinds:
            shown = f"{kind[:40]!r}" if isinstance(kind, str) else "this kind"
            raise _unsupported("type", f"Parts of type {shown} are not supported here.")
        if kind in _TEXTS:
            return _text_of(part, _TEXTS[kind], empty=True)
        return _load_image(part) if kind == "input_image" else _load_file(part)
    except ValidationError as error:
        raise ValidationError({index: error.messages}) from None


def _load_image(part: Json) -> Part:
    if part.get("file_id") is not None:
        raise _unsupported("file_id", "Requests cannot refer to uploaded files; send image_url.")
    try:
        return load_image_url({"url": part.get("image_url")})
    except ValidationError as error:
        raise ValidationError({"image_url": error.normalized_messages()["url"]}) from None  # type: ignore[no-untyped-call]


def _load_file(part: Json) -> Part:
    if part.get("file_url") is not None:
        raise _unsupported("file_url", "The gateway fetches no files; send file_data.")
    return load_file_data(part)


def _text_of(item: Json, key: str, *, empty: bool = False) -> str:
    text = item.get(key)
    if not isinstance(text, str) or not (text or empty):
        raise ValidationError({key: ["Not a valid string."]})
    return text


def _unsupported(key: str, message: str) -> ValidationError:
    return ValidationError({key: [CodedMessage(message, "unsupported_value")]})


LOADERS: Mapping[str, Callable[[str, Json], Item | None]] = {
    "message": _load_message,
    "function_call": _load_call,
    "function_call_output": _load_output,
    "custom_tool_call": _load_custom_call,
    "custom_tool_call_output": _load_output,
    "mcp_approval_request": _load_approval_request,
    "mcp_approval_response": _load_approval_response,
    "mcp_call": _load_mcp_call,
    "reasoning": _load_reasoning,
}
