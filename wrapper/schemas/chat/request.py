"""The chat completion request: every field that OpenAI has, with its type and range."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from marshmallow import ValidationError, fields, post_load, pre_load, validates_schema
from marshmallow.validate import Length, OneOf, Range

from wrapper.schemas.base import (
    MAX_INTEGER,
    BaseSchema,
    Coded,
    StrictBool,
    StrictFloat,
    StrictInt,
    nullable,
    tell_neutral,
)
from wrapper.schemas.chat.anthropic import System, Thinking, effort_in, idle_in, messages_in
from wrapper.schemas.chat.claude_options import ClaudeSchema
from wrapper.schemas.chat.conditions import RULES
from wrapper.schemas.chat.message import MessageSchema
from wrapper.schemas.chat.parameters import PARAMETERS, Kind, asked, drop, of_kind, refuse
from wrapper.schemas.chat.stop import Stop, StopSequences
from wrapper.schemas.chat.tool_choice import FunctionCall, ToolChoiceField, check_choice, choose
from wrapper.schemas.chat.tools import (
    MAX_FUNCTIONS,
    FunctionSchema,
    ResponseFormatSchema,
    ToolSchema,
)
from wrapper.schemas.sessions import SessionId
from wrapper.services.request import ChatRequest

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
MAX_CHOICES = 8
LIMITS = ("max_completion_tokens", "max_tokens")  # the first one wins


class StreamOptionsSchema(BaseSchema):
    include_usage = StrictBool(allow_none=True)


def _functions(data: Mapping[str, Any]) -> dict[str, Any]:
    legacy = bool(data.get("functions"))
    given = tuple(data.get("functions") or data.get("tools") or ())
    choice = data.get("function_call" if legacy else "tool_choice")
    # In their first form there is one call in an answer.
    parallel = not legacy and data.get("parallel_tool_calls", True)
    functions, tool_choice = choose(given, choice, parallel=parallel)
    return {"functions": functions, "tool_choice": tool_choice, "legacy_functions": legacy}


def _adapted(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield the places of the schemas that the model gets in another form."""
    for name, place in (("tools", "function.parameters"), ("functions", "parameters")):
        for index, function in enumerate(data.get(name) or ()):
            if function.original is not None:
                yield f"{name}.{index}.{place}"
    output_schema = data.get("response_format")
    if output_schema and output_schema.original is not None:
        yield "response_format.json_schema.schema"


class ChatRequestSchema(BaseSchema):
    """The request. What its fields mean, and what becomes of them, is in PARAMETERS.

    The parameters *ignored* are left out, whatever a request sets them to.
    """

    def __init__(self, *, ignored: Collection[str] = (), **options: Any):
        super().__init__(**options)
        self._ignored = ignored

    model = fields.String(validate=Length(min=1))
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
    stop = Stop()
    n = StrictInt(validate=Range(1, MAX_CHOICES))
    reasoning_effort = fields.String(validate=OneOf(EFFORTS))
    claude = fields.Nested(ClaudeSchema)
    session_id = SessionId()
    tools = fields.List(fields.Nested(ToolSchema), validate=Length(max=MAX_FUNCTIONS))
    tool_choice = ToolChoiceField()
    parallel_tool_calls = StrictBool()
    functions = fields.List(fields.Nested(FunctionSchema), validate=Length(max=MAX_FUNCTIONS))
    function_call = FunctionCall()
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
    system = System()
    thinking = Thinking()
    stop_sequences = StopSequences()
    top_k = StrictInt()
    cache_control = fields.Dict()

    @classmethod
    def tell(cls, told: dict[str, Any]) -> dict[str, Any]:
        properties = {
            name: one if name in told["required"] else nullable(one)
            for name, one in told["properties"].items()
        }
        unsupported = of_kind(Kind.REFUSED)
        properties |= tell_neutral({name: one.neutral for name, one in unsupported.items()})
        for name in properties.keys() - unsupported.keys():
            told_of = {"description": PARAMETERS[name].description}
            properties[name] = {**properties[name], **told_of}
        return {**told, "properties": properties, "allOf": RULES}

    def load(self, data: Any, **options: Any) -> Any:
        """Load *data* without the parameters that the operator ignores, and name those."""
        if not isinstance(data, dict):
            return super().load(data, **options)
        data, dropped = drop(data, self._ignored)
        request = super().load(data, **options)
        also = tuple(name for name in request.idle if name in self._ignored)
        if dropped or also:
            idle = tuple(name for name in request.idle if name not in also)
            return replace(request, idle=idle, dropped=tuple(dict.fromkeys((*dropped, *also))))
        return request

    @pre_load
    def drop_nulls(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """An explicit null means the same as absence, for every optional field."""
        return {name: value for name, value in data.items() if value is not None}

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def refuse_unsupported(self, _: Any, original: dict[str, Any], **__: Any) -> None:
        refuse(original)
        if original.get("stream_options") is not None and original.get("stream") is not True:
            raise ValidationError("Only allowed when stream is true.", "stream_options")

    @validates_schema
    def check_functions(self, data: dict[str, Any], **_: Any) -> None:
        if data.get("tools") and data.get("functions"):
            raise ValidationError("Not allowed beside tools.", "functions")
        for functions, choice in (("tools", "tool_choice"), ("functions", "function_call")):
            check_choice(data.get(functions) or [], data.get(choice), functions, choice)

    @validates_schema
    def refuse_several_answers(self, data: dict[str, Any], **_: Any) -> None:
        if "session_id" in data and data.get("n", 1) > 1:
            raise ValidationError("Only 1 with session_id: a session goes on from one answer.", "n")

    @validates_schema
    def refuse_lost_summary(self, data: dict[str, Any], **_: Any) -> None:
        if (data.get("claude") or {}).get("compact") and "session_id" not in data:
            why = "Only with session_id: else the summary would be lost."
            raise ValidationError({"compact": [why]}, "claude")

    @validates_schema
    def refuse_sampled_thoughts(self, data: dict[str, Any], **_: Any) -> None:
        if data.get("reasoning_effort", "none") == "none":
            return
        for name in ("temperature", "top_p"):
            if data.get(name, 1) < 1:
                message = (
                    f"{name} cannot be set together with reasoning_effort: the model's API takes "
                    "no sampling while it thinks."
                )
                raise ValidationError(Coded(message, "unsupported_value"), name)

    @post_load(pass_original=True)
    def build(self, data: dict[str, Any], original: dict[str, Any], **_: Any) -> ChatRequest:
        claude = data.get("claude", {})
        allowed, denied = claude.get("allowed_tools"), claude.get("disallowed_tools")
        mode = claude.get("system_prompt_mode")
        return ChatRequest(
            **messages_in(data),
            model=data.get("model"),
            profile=claude.get("profile"),
            stream=data.get("stream", False),
            include_usage=data.get("stream_options", {}).get("include_usage") or False,
            max_tokens=next((data[name] for name in LIMITS if name in data), None),
            limit_param=next((name for name in LIMITS if name in data), LIMITS[-1]),
            temperature=data.get("temperature"),
            top_p=data.get("top_p"),
            stop=(*data.get("stop", ()), *data.get("stop_sequences", ())),
            n=data.get("n", 1),
            **effort_in(data),
            service_tier=data.get("service_tier"),
            show_tool_use=claude.get("show_tool_use") or False,
            allowed_tools=None if allowed is None else tuple(allowed),
            disallowed_tools=None if denied is None else tuple(denied),
            permission_mode=claude.get("permission_mode"),
            max_turns=claude.get("max_turns"),
            **_functions(data),
            output_schema=data.get("response_format"),
            prefill=claude.get("prefill") or False,
            session_id=data.get("session_id"),
            compacts=claude.get("compact"),
            appends_system=None if mode is None else mode == "append",
            idle=(*asked(data, Kind.IDLE), *idle_in(data, original)),
            adapted=tuple(_adapted(data)),
        )


CHAT_REQUEST = ChatRequestSchema()
