"""The response of a chat completion, whole or as the chunks of a stream.

These schemas describe it in the OpenAPI document; the presenter in services/fronts writes it.
"""

from __future__ import annotations

from typing import get_args

from marshmallow import fields
from marshmallow.validate import Equal, OneOf

from wrapper.schemas.approvals import ApprovalSchema
from wrapper.schemas.base import (
    BaseSchema,
    always,
    describe,
    nullable_text,
    required_count,
    required_object,
    required_text,
    unix_seconds,
)
from wrapper.services.events import UseOutcome

FINISH_REASONS = ("stop", "length", "content_filter", "tool_calls", "function_call")


def notes_field(where: str) -> fields.Dict:
    """Return the field of the notes on an answer; *where* begins its description."""
    meaning = (
        f"{where} what the headers x-retried-params, x-unmet-params, x-adapted-params, "
        "x-failed-models, x-ended-early and x-budget-warnings say or, where they were sent before "
        "it was known, would say; absent if there is nothing to say."
    )
    return fields.Dict(keys=fields.String(), values=fields.String(), metadata=describe(meaning))


NOTES = notes_field("In a choice's last chunk,")
_REASONING = describe("The model's thinking and, with show_tool_use, the tools it used.")
_SERVICE_TIER = describe("Present if the request named a tier.")


class PromptDetailsSchema(BaseSchema):
    cached_tokens = required_count()
    cache_write_tokens = required_count()
    audio_tokens = required_count()


class CompletionDetailsSchema(BaseSchema):
    reasoning_tokens = required_count()
    audio_tokens = required_count()
    accepted_prediction_tokens = required_count()
    rejected_prediction_tokens = required_count()


class UsageSchema(BaseSchema):
    prompt_tokens = required_count()
    completion_tokens = required_count()
    total_tokens = required_count()
    prompt_tokens_details = required_object(PromptDetailsSchema)
    completion_tokens_details = required_object(CompletionDetailsSchema)
    cost_usd = fields.Float(
        required=True, allow_none=True, metadata=describe("In dollars; null if unknown.")
    )


class FunctionCallSchema(BaseSchema):
    name = required_text()
    arguments = required_text(metadata=describe("A JSON object as text, as the model wrote it."))


class ToolCallSchema(BaseSchema):
    id = required_text()
    type = always("function")
    function = required_object(FunctionCallSchema)


class AssistantMessageSchema(BaseSchema):
    role = always("assistant")
    content = nullable_text(metadata=describe("null if there are calls and no text."))
    tool_calls = fields.List(fields.Nested(ToolCallSchema))
    function_call = fields.Nested(FunctionCallSchema)
    refusal = nullable_text()
    annotations = fields.List(fields.Dict(), required=True)
    reasoning_content = fields.String(metadata=_REASONING)


class ChoiceSchema(BaseSchema):
    index = required_count()
    message = required_object(AssistantMessageSchema)
    logprobs = fields.Raw(required=True, metadata={"type": "null"})
    finish_reason = required_text(validate=OneOf(FINISH_REASONS))


class CompletionSchema(BaseSchema):
    id = required_text()
    object = always("chat.completion")
    created = unix_seconds()
    model = required_text(metadata=describe("The model that ran."))
    choices = fields.List(fields.Nested(ChoiceSchema), required=True)
    usage = required_object(UsageSchema)
    service_tier = fields.String(metadata=_SERVICE_TIER)


class FunctionCallDeltaSchema(BaseSchema):
    name = fields.String()
    arguments = required_text()


class ToolCallDeltaSchema(BaseSchema):
    index = required_count()
    id = fields.String(metadata=describe("In a call's first delta, with type and name."))
    type = fields.String(validate=Equal("function"))
    function = required_object(FunctionCallDeltaSchema)


class DeltaSchema(BaseSchema):
    role = fields.String(validate=Equal("assistant"))
    content = fields.String()
    refusal = fields.String(allow_none=True)
    tool_calls = fields.List(fields.Nested(ToolCallDeltaSchema))
    function_call = fields.Nested(FunctionCallDeltaSchema)
    reasoning_content = fields.String(metadata=_REASONING)


class ChunkChoiceSchema(BaseSchema):
    index = required_count()
    delta = required_object(DeltaSchema)
    logprobs = fields.Raw(required=True, metadata={"type": "null"})
    finish_reason = nullable_text(validate=OneOf(FINISH_REASONS))


class ToolUseSchema(BaseSchema):
    id = required_text()
    name = required_text()
    arguments = required_text(metadata=describe("The JSON text that the model wrote."))


class ToolResultSchema(BaseSchema):
    id = required_text(metadata=describe("That of the tool_use."))
    outcome = required_text(validate=OneOf(get_args(UseOutcome)))
    seconds = fields.Float(required=True)
    output = fields.String(metadata=describe("The text that the model gets of an MCP server."))


class ChunkExtensionSchema(BaseSchema):
    approval = fields.Nested(
        ApprovalSchema,
        metadata=describe("A tool that now waits for approval, or does not wait any more."),
    )
    tool_use = fields.Nested(
        ToolUseSchema, metadata=describe("With show_tool_use: a tool that Claude Code uses.")
    )
    tool_result = fields.Nested(
        ToolResultSchema, metadata=describe("With show_tool_use: how the use of a tool ended.")
    )


class ChunkSchema(BaseSchema):
    id = required_text()
    object = always("chat.completion.chunk")
    created = unix_seconds()
    model = required_text()
    choices = fields.List(fields.Nested(ChunkChoiceSchema), required=True)
    usage = fields.Nested(
        UsageSchema,
        allow_none=True,
        metadata=describe("With include_usage: null, except in the last chunk."),
    )
    service_tier = fields.String(metadata=_SERVICE_TIER)
    claude = fields.Nested(
        ChunkExtensionSchema,
        metadata=describe("What an agent waits for, or does."),
    )
    notes = NOTES
