"""The response of the Responses API, whole or as the events of a stream.

These schemas describe it in the OpenAPI document; the presenter in services/fronts writes it.
"""

from __future__ import annotations

from functools import partial

from marshmallow import fields
from marshmallow.validate import OneOf

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
from wrapper.schemas.chat.response import notes_field

STATUSES = ("in_progress", "completed", "incomplete", "failed", "queued", "cancelled")
ITEMS = (
    *("message", "reasoning", "function_call", "custom_tool_call"),
    *("mcp_list_tools", "mcp_call", "mcp_approval_request"),
)

nullable_count = partial(fields.Integer, required=True, allow_none=True)
nullable_number = partial(fields.Float, required=True, allow_none=True)
required_dict = partial(fields.Dict, required=True)


class InputDetailsSchema(BaseSchema):
    cached_tokens = required_count()
    cache_write_tokens = required_count()


class OutputDetailsSchema(BaseSchema):
    reasoning_tokens = required_count()


class ResponseUsageSchema(BaseSchema):
    input_tokens = required_count()
    input_tokens_details = required_object(InputDetailsSchema)
    output_tokens = required_count()
    output_tokens_details = required_object(OutputDetailsSchema)
    total_tokens = required_count()
    cost_usd = fields.Float(
        required=True, allow_none=True, metadata=describe("In dollars; null if unknown.")
    )


class OutputItemSchema(BaseSchema):
    """An item of the output. Which fields it has follows from its type."""

    id = required_text()
    type = required_text(validate=OneOf(ITEMS))
    status = fields.String(
        validate=OneOf(STATUSES), metadata=describe("Not in reasoning, and not in mcp_list_tools.")
    )
    role = fields.String(metadata=describe("In a message."))
    content = fields.List(fields.Dict(), metadata=describe("In a message: its output_text."))
    summary = fields.List(fields.Dict(), metadata=describe("In reasoning: its summary_text."))
    encrypted_content = fields.String(metadata=describe("In reasoning, if included: send it back."))
    call_id = fields.String(metadata=describe("In a call: its output names it."))
    name = fields.String(metadata=describe("In a call."))
    namespace = fields.String(metadata=describe("In a call of a tool that has one."))
    arguments = fields.String(
        metadata=describe("In a function_call and an mcp_call: a JSON object as text.")
    )
    input = fields.String(metadata=describe("In a custom_tool_call."))
    server_label = fields.String(metadata=describe("The MCP server, in items about one."))
    tools = fields.List(
        fields.Dict(), metadata=describe("In mcp_list_tools: the tools that may be used.")
    )
    output = fields.String(
        allow_none=True, metadata=describe("In an mcp_call: what the tool returned.")
    )
    error = fields.Dict(
        allow_none=True, metadata=describe("In items about an MCP server: what failed, or null.")
    )
    approval_request_id = fields.String(
        allow_none=True, metadata=describe("In an mcp_call that was approved.")
    )


class ResponseErrorSchema(BaseSchema):
    code = required_text()
    message = required_text()


class IncompleteDetailsSchema(BaseSchema):
    reason = required_text(validate=OneOf(("max_output_tokens", "content_filter")))


class RepeatedSchema(BaseSchema):
    """The fields of a response that repeat its request."""

    instructions = nullable_text()
    max_output_tokens = nullable_count()
    max_tool_calls = nullable_count()
    metadata = required_dict()
    parallel_tool_calls = fields.Boolean(required=True)
    previous_response_id = nullable_text()
    prompt_cache_key = nullable_text()
    reasoning = required_dict()
    safety_identifier = nullable_text()
    service_tier = required_text()
    store = fields.Boolean(required=True, metadata=describe("Whether it is kept."))
    temperature = nullable_number()
    text = required_dict()
    tool_choice = fields.Raw(required=True)
    tools = fields.List(fields.Dict(), required=True)
    top_logprobs = required_count()
    top_p = nullable_number()
    truncation = required_text()
    user = nullable_text()


class ResponseSchema(RepeatedSchema):
    id = required_text()
    object = always("response")
    created_at = unix_seconds()
    status = required_text(validate=OneOf(STATUSES))
    background = fields.Boolean(
        required=True, metadata=describe("Whether it runs without a client that waits.")
    )
    completed_at = nullable_count(metadata=describe("Unix seconds, if completed."))
    error = fields.Nested(ResponseErrorSchema, required=True, allow_none=True)
    incomplete_details = fields.Nested(IncompleteDetailsSchema, required=True, allow_none=True)
    model = required_text(metadata=describe("The model that ran."))
    output = fields.List(fields.Nested(OutputItemSchema), required=True)
    usage = fields.Nested(ResponseUsageSchema, required=True, allow_none=True)
    notes = notes_field("Once the response has ended,")


class ResponseEventSchema(BaseSchema):
    """An event of a stream. Which fields it has follows from its type."""

    type = required_text()
    sequence_number = required_count()
    response = fields.Nested(ResponseSchema, metadata=describe("The response as it is now."))
    approval = fields.Nested(
        ApprovalSchema,
        metadata=describe("A tool that now waits for approval, or does not wait any more."),
    )
    item = fields.Nested(OutputItemSchema)
    item_id = fields.String()
    output_index = fields.Integer()
    content_index = fields.Integer()
    summary_index = fields.Integer()
    part = fields.Dict()
    delta = fields.String(metadata=describe("The next piece of what the item holds."))
    text = fields.String()
    logprobs = fields.List(fields.Dict())
    name = fields.String()
    arguments = fields.String()
    input = fields.String()
