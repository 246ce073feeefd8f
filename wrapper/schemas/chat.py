"""The chat completion request: every field that OpenAI has, with its type and range."""

from __future__ import annotations

from typing import Any

from marshmallow import RAISE, ValidationError, fields, post_load, pre_load, validates_schema
from marshmallow.validate import Length, OneOf, Range

from wrapper.schemas.base import (
    BaseSchema,
    Coded,
    StrictBool,
    StrictFloat,
    StrictInt,
    without_nulls,
)
from wrapper.services.conversation import ChatMessage, ChatRequest
from wrapper.settings import PERMISSION_MODES

ROLES = ("system", "developer", "user", "assistant")
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
MAX_CHOICES = 8
MAX_TOKENS = 2**31 - 1

# What this gateway does not do, with the values that ask for nothing.
UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "audio": (),
    "web_search_options": (),
    "session_id": (),
}


class Content(fields.Field[tuple[str, ...]]):
    """A text, or an array of text parts; loads to the texts."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> tuple[str, ...]:
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list):
            raise ValidationError("Not a valid string or array of parts.")
        return tuple(_part_text(index, part) for index, part in enumerate(value))


def _part_text(index: int, part: Any) -> str:
    if not isinstance(part, dict):
        raise ValidationError({index: ["Not a valid object."]})
    kind = part.get("type")
    if kind not in ("text", "refusal"):
        shown = f"{kind[:40]!r}" if isinstance(kind, str) else "this kind"
        message = f"Parts of type {shown} are not supported; send text."
        raise ValidationError({index: {"type": [Coded(message, "unsupported_value")]}})
    if not isinstance(part.get(kind), str):
        raise ValidationError({index: {kind: ["Not a valid string."]}})
    return str(part[kind])


class Stop(fields.Field[tuple[str, ...]]):
    """One stop text, or up to four."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> tuple[str, ...]:
        stops = [value] if isinstance(value, str) else value
        if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
            raise ValidationError("Not a valid string or array of strings.")
        if len(stops) > 4 or not all(stops):
            raise ValidationError("Must be up to 4 texts, none of them empty.")
        return tuple(stops)


class MessageSchema(BaseSchema):
    role = fields.String(required=True)
    content = Content(allow_none=True, load_default=None)
    refusal = fields.String(allow_none=True)
    name = fields.String(allow_none=True)
    tool_calls = fields.Raw(allow_none=True)
    function_call = fields.Raw(allow_none=True)

    @validates_schema
    def check(self, data: dict[str, Any], **_: Any) -> None:
        role = data["role"]
        if role in ("tool", "function"):
            message = f"Messages of role {role!r} are not supported: this gateway has no functions."
            raise ValidationError(Coded(message, "unsupported_value"), "role")
        if role not in ROLES:
            raise ValidationError(f"Must be one of: {', '.join(ROLES)}.", "role")
        for name in ("tool_calls", "function_call"):
            if data.get(name):
                raise ValidationError(
                    Coded("Not supported: this gateway has no functions.", "unsupported_value"),
                    name,
                )
        if data["content"] is None and (role != "assistant" or data.get("refusal") is None):
            raise ValidationError("Must be a string or an array of parts.", "content")

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> ChatMessage:
        texts = (data["refusal"],) if data["content"] is None else data["content"]
        return ChatMessage(data["role"], texts)


class StreamOptionsSchema(BaseSchema):
    include_usage = StrictBool(allow_none=True)


class ClaudeSchema(BaseSchema):
    """Claude Code's own knobs, which OpenAI does not have; an unknown one is a mistake."""

    class Meta:
        unknown = RAISE

    profile = fields.String(validate=OneOf(("agent", "plain")))
    show_tool_use = StrictBool()
    allowed_tools = fields.List(fields.String())
    disallowed_tools = fields.List(fields.String())
    permission_mode = fields.String(validate=OneOf(PERMISSION_MODES))
    max_turns = StrictInt(validate=Range(1, MAX_TOKENS))

    @pre_load
    def drop_nulls(self, data: Any, **_: Any) -> Any:
        return without_nulls(data)


class ChatRequestSchema(BaseSchema):
    model = fields.String(validate=Length(min=1))
    messages = fields.List(fields.Nested(MessageSchema), required=True, validate=Length(min=1))
    stream = StrictBool()
    stream_options = fields.Nested(StreamOptionsSchema)
    max_tokens = StrictInt(validate=Range(1, MAX_TOKENS))
    max_completion_tokens = StrictInt(validate=Range(1, MAX_TOKENS))
    temperature = StrictFloat(validate=Range(0, 2))
    top_p = StrictFloat(validate=Range(0, 1))
    stop = Stop()
    n = StrictInt(validate=Range(1, MAX_CHOICES))
    reasoning_effort = fields.String(validate=OneOf(EFFORTS))
    claude = fields.Nested(ClaudeSchema)
    # Checked and then left alone: Claude has nothing that they could set.
    presence_penalty = StrictFloat(validate=Range(-2, 2))
    frequency_penalty = StrictFloat(validate=Range(-2, 2))
    seed = StrictInt()
    user = fields.String()
    safety_identifier = fields.String()
    metadata = fields.Dict(keys=fields.String(), values=fields.String(), validate=Length(max=16))
    store = StrictBool()
    parallel_tool_calls = StrictBool()
    service_tier = fields.String()
    verbosity = fields.String(validate=OneOf(("low", "medium", "high")))

    @pre_load
    def drop_nulls(self, data: Any, **_: Any) -> Any:
        return without_nulls(data)

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def refuse(self, _: Any, original: dict[str, Any], **__: Any) -> None:
        for name, neutral in UNSUPPORTED.items():
            value = original.get(name)
            if value is not None and value not in neutral:
                message = f"{name} is not supported by this gateway; leave it out."
                raise ValidationError(Coded(message, "unsupported_parameter"), name)
        if original.get("stream_options") is not None and original.get("stream") is not True:
            raise ValidationError("Only allowed when stream is true.", "stream_options")

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> ChatRequest:
        claude = data.get("claude", {})
        allowed_tools = claude.get("allowed_tools")
        return ChatRequest(
            messages=tuple(data["messages"]),
            model=data.get("model"),
            profile=claude.get("profile"),
            stream=data.get("stream", False),
            include_usage=data.get("stream_options", {}).get("include_usage") or False,
            max_tokens=data.get("max_completion_tokens", data.get("max_tokens")),
            temperature=data.get("temperature"),
            top_p=data.get("top_p"),
            stop=data.get("stop", ()),
            n=data.get("n", 1),
            effort=data.get("reasoning_effort"),
            service_tier=data.get("service_tier"),
            show_tool_use=claude.get("show_tool_use", False),
            allowed_tools=None if allowed_tools is None else tuple(allowed_tools),
            disallowed_tools=tuple(claude.get("disallowed_tools", ())),
            permission_mode=claude.get("permission_mode"),
            max_turns=claude.get("max_turns"),
        )


CHAT_REQUEST = ChatRequestSchema()
