"""The chat completion request: every field, with its type and range."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from marshmallow import ValidationError, fields, post_load, validates_schema
from marshmallow.validate import Length, OneOf, Range

from wrapper.schemas.base import (
    MAX_INTEGER,
    BaseSchema,
    BoundedList,
    StrictBool,
    StrictFloat,
    StrictInt,
    model_name,
)
from wrapper.schemas.chat.anthropic import (
    SystemField,
    ThinkingField,
    effort_fields,
    ignored_anthropic_parameters,
    message_fields,
)
from wrapper.schemas.chat.claude_options import ClaudeSchema, claude_fields
from wrapper.schemas.chat.conditions import CONDITIONS
from wrapper.schemas.chat.message import MessageSchema
from wrapper.schemas.chat.parameters import PARAMETERS
from wrapper.schemas.chat.stop import StopField, StopSequencesField
from wrapper.schemas.chat.tool_choice import (
    FunctionCallField,
    ToolChoiceField,
    check_tool_choice,
    select_functions,
)
from wrapper.schemas.chat.tools import (
    MAX_FUNCTIONS,
    FunctionSchema,
    ResponseFormatSchema,
    ToolSchema,
)
from wrapper.schemas.parameters import Kind
from wrapper.schemas.request import EFFORTS, RequestSchema, check_sampling
from wrapper.schemas.sessions import SessionIdField
from wrapper.schemas.user import user_fields
from wrapper.services.request import TurnRequest

MAX_CHOICES = 8
LIMITS = ("max_completion_tokens", "max_tokens")  # the first takes precedence


class StreamOptionsSchema(BaseSchema):
    include_usage = StrictBool(allow_none=True)


def _function_fields(data: Mapping[str, Any]) -> dict[str, Any]:
    legacy = bool(data.get("functions"))
    offered = tuple(data.get("functions") or data.get("tools") or ())
    choice = data.get("function_call" if legacy else "tool_choice")
    # In the older form an answer has at most one call.
    parallel = not legacy and data.get("parallel_tool_calls", True)
    functions, tool_choice = select_functions(offered, choice, parallel=parallel)
    return {"functions": functions, "tool_choice": tool_choice, "legacy_functions": legacy}


def _limit_fields(data: Mapping[str, Any]) -> dict[str, Any]:
    name = next((name for name in LIMITS if name in data), LIMITS[-1])
    return {"max_tokens": data.get(name), "limit_param": name}


def _adapted_schemas(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield the paths of the JSON Schemas that the model gets in another form."""
    for name, path in (("tools", "function.parameters"), ("functions", "parameters")):
        for index, function in enumerate(data.get(name) or ()):
            if function.original is not None:
                yield f"{name}.{index}.{path}"
    output_schema = data.get("response_format")
    if output_schema and output_schema.original is not None:
        yield "response_format.json_schema.schema"


class ChatRequestSchema(RequestSchema):
    """The request. PARAMETERS says what its fields mean and how they are treated."""

    parameters = PARAMETERS

    model = model_name()
    messages = fields.List(
        fields.Nested(MessageSchema),
        required=True,
        validate=Length(min=1),
    )
    stream = StrictBool()
    stream_options = fields.Nested(StreamOptionsSchema)
    max_tokens = StrictInt(validate=Range(1, MAX_INTEGER))
    max_completion_tokens = StrictInt(validate=Range(1, MAX_INTEGER))
    temperature = StrictFloat(validate=Range(0, 2))
    top_p = StrictFloat(validate=Range(0, 1))
    stop = StopField()
    n = StrictInt(validate=Range(1, MAX_CHOICES))
    reasoning_effort = fields.String(validate=OneOf(EFFORTS))
    claude = fields.Nested(ClaudeSchema)
    session_id = SessionIdField()
    tools = BoundedList(fields.Nested(ToolSchema), validate=Length(max=MAX_FUNCTIONS))
    tool_choice = ToolChoiceField()
    parallel_tool_calls = StrictBool()
    functions = BoundedList(fields.Nested(FunctionSchema), validate=Length(max=MAX_FUNCTIONS))
    function_call = FunctionCallField()
    response_format = fields.Nested(ResponseFormatSchema)
    presence_penalty = StrictFloat(validate=Range(-2, 2))
    frequency_penalty = StrictFloat(validate=Range(-2, 2))
    seed = StrictInt()
    user = fields.String()
    safety_identifier = fields.String()
    metadata = fields.Dict(keys=fields.String(), values=fields.String(), validate=Length(max=16))
    store = StrictBool()
    service_tier = fields.String()
    verbosity = fields.String(validate=OneOf(("low", "medium", "high")))
    prediction = fields.Dict()
    prompt_cache_key = fields.String()
    prompt_cache_options = fields.Dict()
    prompt_cache_retention = fields.String()
    moderation = fields.Dict()
    system = SystemField()
    thinking = ThinkingField()
    stop_sequences = StopSequencesField()
    top_k = StrictInt()
    cache_control = fields.Dict()

    @classmethod
    def extend_json_schema(cls, json_schema: dict[str, Any]) -> dict[str, Any]:
        return {**PARAMETERS.describe_all(json_schema), "allOf": CONDITIONS}

    def with_dropped(self, request: TurnRequest, dropped: tuple[str, ...]) -> TurnRequest:
        # A cache mark inside of messages, tools or the system prompt is found only by loading.
        nested = tuple(name for name in request.idle if name in self._ignored)
        if not dropped and not nested:
            return request
        idle = tuple(name for name in request.idle if name not in nested)
        return replace(request, idle=idle, dropped=tuple(dict.fromkeys((*dropped, *nested))))

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def check_support(self, _: Any, original: dict[str, Any], **__: Any) -> None:
        PARAMETERS.refuse_unsupported(original)
        if original.get("stream_options") is not None and original.get("stream") is not True:
            raise ValidationError("Only allowed when stream is true.", "stream_options")

    @validates_schema
    def check_functions(self, data: dict[str, Any], **_: Any) -> None:
        if data.get("tools") and data.get("functions"):
            raise ValidationError("Not allowed beside tools.", "functions")
        for functions, choice in (("tools", "tool_choice"), ("functions", "function_call")):
            check_tool_choice(data.get(functions) or [], data.get(choice), functions, choice)

    @validates_schema
    def check_options(self, data: dict[str, Any], **_: Any) -> None:
        if "session_id" in data and data.get("n", 1) > 1:
            raise ValidationError(
                "Only 1 with session_id: a session continues from one answer.", "n"
            )

        if (data.get("claude") or {}).get("compact") and "session_id" not in data:
            message = "Only with session_id: otherwise the summary would be lost."
            raise ValidationError({"compact": [message]}, "claude")

        check_sampling(data, data.get("reasoning_effort"), "reasoning_effort")

    @post_load(pass_original=True)
    def build(self, data: dict[str, Any], original: dict[str, Any], **_: Any) -> TurnRequest:
        return TurnRequest(
            **message_fields(data),
            **_limit_fields(data),
            **effort_fields(data),
            **_function_fields(data),
            **claude_fields(data.get("claude", {})),
            **user_fields(data),
            model=data.get("model"),
            stream=data.get("stream", False),
            include_usage=data.get("stream_options", {}).get("include_usage") or False,
            temperature=data.get("temperature"),
            top_p=data.get("top_p"),
            stop=(*data.get("stop", ()), *data.get("stop_sequences", ())),
            n=data.get("n", 1),
            service_tier=data.get("service_tier"),
            output_schema=data.get("response_format"),
            session_id=data.get("session_id"),
            idle=(
                *PARAMETERS.used(data, Kind.IGNORED),
                *ignored_anthropic_parameters(data, original),
            ),
            adapted=tuple(_adapted_schemas(data)),
        )


CHAT_REQUEST = ChatRequestSchema()
