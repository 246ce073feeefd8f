"""The request for a response: every field, with its type and range."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import Any

from marshmallow import ValidationError, fields, post_load, validates_schema
from marshmallow.validate import Length, OneOf, Range

from wrapper.json_text import Json
from wrapper.schemas.base import (
    MAX_INTEGER,
    BaseSchema,
    CodedMessage,
    StrictBool,
    StrictFloat,
    StrictInt,
    model_name,
)
from wrapper.schemas.chat.claude_options import ClaudeSchema, claude_fields
from wrapper.schemas.chat.tool_choice import (
    RequestedToolChoice,
    check_tool_choice,
    select_functions,
)
from wrapper.schemas.chat.tools import ResponseFormatSchema
from wrapper.schemas.mcp_servers import RequestedServers
from wrapper.schemas.parameters import Kind
from wrapper.schemas.request import EFFORTS, RequestSchema, check_sampling, refuse_chat_options
from wrapper.schemas.responses.items import InputField, omitted_paths
from wrapper.schemas.responses.parameters import PARAMETERS
from wrapper.schemas.responses.tools import LoadedTools, ToolChoiceField, ToolsField
from wrapper.schemas.user import user_fields
from wrapper.services.fronts.responses import ResponseRequest
from wrapper.services.messages.items import InputItem
from wrapper.services.messages.message import ChatMessage
from wrapper.services.request import TurnRequest
from wrapper.services.turn import OutputSchema

SUMMARIES = ("auto", "concise", "detailed")
ENCRYPTED = "reasoning.encrypted_content"
# Values of `include` about hosted tools, which ask for nothing here.
HOSTED = (
    "web_search_call.results",
    "web_search_call.action.sources",
    "file_search_call.results",
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "message.input_image.image_url",
)
LOGPROBS = "message.output_text.logprobs"
_summary = partial(fields.String, allow_none=True, validate=OneOf(SUMMARIES))


class ReasoningSchema(BaseSchema):
    effort = fields.String(allow_none=True, validate=OneOf(EFFORTS))
    summary = _summary()
    generate_summary = _summary()
    mode = fields.String(allow_none=True, validate=OneOf(("standard",)))
    context = fields.String(allow_none=True)


class TextSchema(BaseSchema):
    # Its fields stand in the format itself here, and below `json_schema` in chat completions.
    format = fields.Dict(allow_none=True)
    verbosity = fields.String(allow_none=True, validate=OneOf(("low", "medium", "high")))


class ResponseRequestSchema(RequestSchema):
    """The request. PARAMETERS says what its fields mean and how they are treated."""

    parameters = PARAMETERS

    def __init__(self, *, ignored: Collection[str] = (), **options: Any):
        # In chat completions `store` has no effect. Here it says what may be kept.
        super().__init__(ignored=[name for name in ignored if name != "store"], **options)

    model = model_name()
    input = InputField()
    instructions = fields.String()
    stream = StrictBool()
    max_output_tokens = StrictInt(validate=Range(1, MAX_INTEGER))
    temperature = StrictFloat(validate=Range(0, 2))
    top_p = StrictFloat(validate=Range(0, 1))
    reasoning = fields.Nested(ReasoningSchema)
    text = fields.Nested(TextSchema)
    tools = ToolsField()
    tool_choice = ToolChoiceField()
    parallel_tool_calls = StrictBool()
    metadata = fields.Dict(
        keys=fields.String(validate=Length(max=64)),
        values=fields.String(validate=Length(max=512)),
        validate=Length(max=16),
    )
    include = fields.List(fields.String())
    claude = fields.Nested(ClaudeSchema)
    previous_response_id = fields.String()
    store = StrictBool()
    background = StrictBool()
    stream_options = fields.Dict()
    truncation = fields.String(validate=OneOf(("auto", "disabled")))
    max_tool_calls = StrictInt(validate=Range(1, MAX_INTEGER))
    context_management = fields.List(fields.Dict())
    prompt_cache_key = fields.String()
    prompt_cache_options = fields.Dict()
    prompt_cache_retention = fields.String()
    safety_identifier = fields.String()
    user = fields.String()
    service_tier = fields.String()
    moderation = fields.Dict()
    background_options = fields.Dict()
    image = fields.Dict()
    access_programs = fields.Dict()

    @classmethod
    def extend_json_schema(cls, json_schema: Json) -> Json:
        return PARAMETERS.describe_all(json_schema)

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def check_support(self, _: Any, original: Json, **__: Any) -> None:
        PARAMETERS.refuse_unsupported(original)
        if (original.get("prompt_cache_options") or {}) == {"prewarm": True}:
            message = "prewarm asks for no answer, but would be paid for; leave it out."
            raise ValidationError(
                {"prewarm": [CodedMessage(message, "unsupported_value")]}, "prompt_cache_options"
            )

    @validates_schema
    def check_options(self, data: Json, **_: Any) -> None:
        refuse_chat_options(data)
        if LOGPROBS in data.get("include", ()):
            message = CodedMessage("Claude does not report probabilities.", "unsupported_value")
            raise ValidationError({data["include"].index(LOGPROBS): [message]}, "include")

    @validates_schema
    def check_input(self, data: Json, **_: Any) -> None:
        if "input" not in data and "previous_response_id" not in data:
            raise ValidationError("Missing data for required field.", "input")

    @validates_schema
    def check_choice(self, data: Json, **_: Any) -> None:
        tools: LoadedTools = data.get("tools", LoadedTools())
        check_tool_choice(tools.functions, data.get("tool_choice"), "tools", "tool_choice")

    @validates_schema
    def check_thinking(self, data: Json, **_: Any) -> None:
        effort = (data.get("reasoning") or {}).get("effort")
        check_sampling(data, effort, "reasoning.effort")

    @post_load(pass_original=True)
    def build(self, data: Json, original: Json, **_: Any) -> ResponseRequest:
        tools: LoadedTools = data.get("tools", LoadedTools())
        items: tuple[InputItem, ...] = data.get("input", ())
        reasoning = data.get("reasoning", {})
        request = TurnRequest(
            **_instructions(data),
            **_function_fields(data, tools),
            **_agent_fields(data.get("claude", {}), tools, data.get("tool_choice")),
            **user_fields(data),
            model=data.get("model"),
            stream=data.get("stream", False),
            max_tokens=data.get("max_output_tokens"),
            limit_param="max_output_tokens",
            temperature=data.get("temperature"),
            top_p=data.get("top_p"),
            effort=reasoning.get("effort"),
            effort_param="reasoning.effort",
            output_schema=(output_schema := _output_schema(data)),
            schema_param="text.format.schema",
            idle=(*PARAMETERS.used(original, Kind.IGNORED), *_idle(data), *omitted_paths(items)),
            adapted=(*tools.adapted, *_adapted(output_schema)),
        )
        return ResponseRequest(
            request,
            _repeated(data, original, tools),
            tools.names,
            input=items,
            previous_response_id=data.get("previous_response_id"),
            store=data.get("store"),
            summary=bool(reasoning.get("summary") or reasoning.get("generate_summary")),
            encrypted=ENCRYPTED in data.get("include", ()),
            background=data.get("background", False),
        )


def _instructions(data: Json) -> Json:
    """Return the messages that come before those of the input and of earlier responses."""
    if not data.get("instructions"):
        return {"messages": ()}
    return {"messages": (ChatMessage("system", (data["instructions"],)),), "unlisted": 1}


def _function_fields(data: Json, tools: LoadedTools) -> Json:
    functions, tool_choice = select_functions(
        tuple(tools.functions),
        data.get("tool_choice"),
        parallel=data.get("parallel_tool_calls", True),
    )
    return {"functions": functions, "tool_choice": tool_choice}


def _agent_fields(claude: Json, tools: LoadedTools, choice: RequestedToolChoice | None) -> Json:
    """Return the fields that the options *claude* set, with the servers among *tools*."""
    if not tools.servers.names or (choice and choice.tool_choice.mode == "none"):
        return claude_fields(claude)
    servers: RequestedServers = claude.get("mcp_servers") or RequestedServers()
    servers = servers.join(tools.servers)
    profile = claude.get("profile") or "agent"
    return claude_fields({**claude, "profile": profile, "mcp_servers": servers})


def _output_schema(data: Json) -> OutputSchema | None:
    """Return the schema that `text.format` asks for. Raises ValidationError."""
    form = (data.get("text") or {}).get("format")
    if form is None:
        return None
    kind, fields_ = form.get("type"), {k: v for k, v in form.items() if k != "type"}
    nested = {"type": kind, "json_schema": fields_} if kind == "json_schema" else {"type": kind}
    try:
        output_schema: OutputSchema | None = ResponseFormatSchema().load(nested)
    except ValidationError as error:
        messages: Any = error.normalized_messages()  # type: ignore[no-untyped-call]
        raise ValidationError({"text": {"format": messages.get("json_schema", messages)}}) from None
    return output_schema


def _adapted(output_schema: OutputSchema | None) -> tuple[str, ...]:
    changed = output_schema is not None and output_schema.original is not None
    return ("text.format.schema",) if changed else ()


def _idle(data: Json) -> Iterator[str]:
    """Yield what has no effect within parameters that have one."""
    if (data.get("reasoning") or {}).get("context") not in (None, "auto"):
        yield "reasoning.context"
    if (data.get("text") or {}).get("verbosity") not in (None, "medium"):
        yield "text.verbosity"
    for index, value in enumerate(data.get("include", ())):
        if value not in (ENCRYPTED, *HOSTED):
            yield f"include.{index}"
    yield from data.get("tools", LoadedTools()).omitted


def _repeated(data: Json, original: Mapping[str, Any], tools: LoadedTools) -> Json:
    """Return the fields of the response that repeat the request."""
    reasoning, text = data.get("reasoning", {}), data.get("text", {})
    verbosity = {"verbosity": text["verbosity"]} if text.get("verbosity") else {}
    return {
        "instructions": data.get("instructions"),
        "max_output_tokens": data.get("max_output_tokens"),
        "max_tool_calls": None,
        "parallel_tool_calls": data.get("parallel_tool_calls", True),
        "previous_response_id": data.get("previous_response_id"),
        "prompt_cache_key": data.get("prompt_cache_key"),
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "safety_identifier": None,
        "service_tier": "default",
        "store": False,
        "temperature": data.get("temperature"),
        "text": {"format": text.get("format") or {"type": "text"}, **verbosity},
        "tool_choice": original.get("tool_choice") or "auto",
        "tools": [*tools.kept],
        "top_logprobs": 0,
        "top_p": data.get("top_p"),
        "truncation": "disabled",
        "user": None,
        "metadata": data.get("metadata", {}),
    }


RESPONSE_REQUEST = ResponseRequestSchema()
