"""The answers: what each route sends. They tell of it; what is sent is written elsewhere."""

from __future__ import annotations

from functools import partial

from marshmallow import fields
from marshmallow.validate import Equal, OneOf, Range

from wrapper.schemas.base import BaseSchema

REASONS = ("stop", "length", "content_filter", "tool_calls", "function_call")

_THINKING = {"description": "What the model thought and, where asked for, the tools it used."}
_TIER = {"description": "Where the request named one."}

_text = partial(fields.String, required=True)
_count = partial(fields.Integer, required=True, validate=Range(min=0))
_seconds = partial(_count, metadata={"description": "In Unix seconds; 0 where it is not known."})
_null = partial(fields.String, required=True, allow_none=True)
_nested = partial(fields.Nested, required=True)


def _always(value: str) -> fields.String:
    return fields.String(required=True, validate=Equal(value))


class PromptDetailsSchema(BaseSchema):
    cached_tokens = _count()
    cache_write_tokens = _count()
    audio_tokens = _count()


class CompletionDetailsSchema(BaseSchema):
    reasoning_tokens = _count()
    audio_tokens = _count()
    accepted_prediction_tokens = _count()
    rejected_prediction_tokens = _count()


class UsageSchema(BaseSchema):
    prompt_tokens = _count()
    completion_tokens = _count()
    total_tokens = _count()
    prompt_tokens_details = _nested(PromptDetailsSchema)
    completion_tokens_details = _nested(CompletionDetailsSchema)
    cost_usd = fields.Float(
        required=True,
        allow_none=True,
        metadata={"description": "In dollars; null where it is not known."},
    )


class CalledSchema(BaseSchema):
    name = _text()
    arguments = fields.String(
        required=True, metadata={"description": "The text of a JSON object, as the model wrote it."}
    )


class CallSchema(BaseSchema):
    id = _text()
    type = _always("function")
    function = _nested(CalledSchema)


class AnswerMessageSchema(BaseSchema):
    role = _always("assistant")
    content = fields.String(
        required=True, allow_none=True, metadata={"description": "null beside calls without text."}
    )
    tool_calls = fields.List(fields.Nested(CallSchema))
    function_call = fields.Nested(CalledSchema)
    refusal = _null()
    annotations = fields.List(fields.Dict(), required=True)
    reasoning_content = fields.String(metadata=_THINKING)


class ChoiceSchema(BaseSchema):
    index = _count()
    message = _nested(AnswerMessageSchema)
    logprobs = fields.Raw(required=True, metadata={"type": "null"})
    finish_reason = fields.String(required=True, validate=OneOf(REASONS))


class CompletionSchema(BaseSchema):
    id = _text()
    object = _always("chat.completion")
    created = _seconds()
    model = fields.String(required=True, metadata={"description": "The model that ran."})
    choices = fields.List(fields.Nested(ChoiceSchema), required=True)
    usage = _nested(UsageSchema)
    service_tier = fields.String(metadata=_TIER)


class CalledDeltaSchema(BaseSchema):
    name = fields.String()
    arguments = _text()


class CallDeltaSchema(BaseSchema):
    index = _count()
    id = fields.String(metadata={"description": "In a call's first delta, as are type and name."})
    type = fields.String(validate=Equal("function"))
    function = _nested(CalledDeltaSchema)


class DeltaSchema(BaseSchema):
    role = fields.String(validate=Equal("assistant"))
    content = fields.String()
    refusal = fields.String(allow_none=True)
    tool_calls = fields.List(fields.Nested(CallDeltaSchema))
    function_call = fields.Nested(CalledDeltaSchema)
    reasoning_content = fields.String(metadata=_THINKING)


class ChunkChoiceSchema(BaseSchema):
    index = _count()
    delta = _nested(DeltaSchema)
    logprobs = fields.Raw(required=True, metadata={"type": "null"})
    finish_reason = fields.String(required=True, allow_none=True, validate=OneOf(REASONS))


class ChunkSchema(BaseSchema):
    id = _text()
    object = _always("chat.completion.chunk")
    created = _seconds()
    model = _text()
    choices = fields.List(fields.Nested(ChunkChoiceSchema), required=True)
    usage = fields.Nested(
        UsageSchema,
        allow_none=True,
        metadata={"description": "Where it was asked for: null, and filled in the last chunk."},
    )
    service_tier = fields.String(metadata=_TIER)
    notes = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        metadata={
            "description": "In a choice's last chunk, where there is anything to tell: what the "
            "headers x-retried-params, x-unmet-params, x-adapted-params and x-ended-early tell of "
            "whole answers."
        },
    )


class SupportsSchema(BaseSchema):
    temperature = fields.Boolean(required=True)
    top_p = fields.Boolean(required=True)
    reasoning_effort = fields.Boolean(required=True)
    thinking_off = fields.Boolean(
        required=True, metadata={"description": "Whether reasoning_effort may be none."}
    )
    max_output_tokens = fields.Integer(
        required=True, metadata={"description": "The most that max_tokens may ask for."}
    )


class ModelSchema(BaseSchema):
    id = _text()
    object = _always("model")
    created = _seconds()
    owned_by = _always("anthropic")
    runs = fields.String(required=True, metadata={"description": "What the name stands for."})
    name = fields.String(required=True, metadata={"description": "What to show to people."})
    display_name = _text()
    supports = _nested(
        SupportsSchema, metadata={"description": "What has an effect; else it is ignored."}
    )


class ModelListSchema(BaseSchema):
    object = _always("list")
    data = fields.List(fields.Nested(ModelSchema), required=True)


class CliSchema(BaseSchema):
    version = _null()
    path = _null()
    error = _null()


class AccountSchema(BaseSchema):
    provider = fields.String()
    subscription = fields.String()
    key_source = fields.String()
    token_source = fields.String()


class AuthStatusSchema(BaseSchema):
    method = _text()
    reason = _text()
    ready = fields.Boolean(required=True)
    missing = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "What is missing, and its mend."},
    )
    cli = _nested(CliSchema)
    account = _nested(AccountSchema)


class FaultSchema(BaseSchema):
    message = _text()
    type = _text()
    param = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The input at fault, as a path: messages.0.role."},
    )
    code = _null()


class ErrorSchema(BaseSchema):
    error = _nested(FaultSchema)


class DocumentSchema(BaseSchema):
    openapi = _text()
    info = fields.Dict(required=True)
    paths = fields.Dict(required=True)
    components = fields.Dict(required=True)
    servers = fields.List(fields.Dict(), required=True)
