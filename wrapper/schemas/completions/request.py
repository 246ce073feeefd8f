"""The request of OpenAI's older completions API: every field, with its type and range."""

from __future__ import annotations

from typing import Any, ClassVar

from marshmallow import ValidationError, fields, post_load, validates_schema
from marshmallow.validate import Range

from wrapper.json_text import Json
from wrapper.schemas.base import (
    MAX_INTEGER,
    CodedMessage,
    StrictBool,
    StrictFloat,
    StrictInt,
    model_name,
)
from wrapper.schemas.chat.claude_options import ClaudeSchema, claude_fields
from wrapper.schemas.chat.request import MAX_CHOICES, StreamOptionsSchema
from wrapper.schemas.chat.stop import StopField
from wrapper.schemas.completions.parameters import PARAMETERS
from wrapper.schemas.parameters import Kind
from wrapper.schemas.request import RequestSchema, refuse_chat_options
from wrapper.services.fronts.completions import CompletionRequest
from wrapper.services.messages.message import ChatMessage
from wrapper.services.request import TurnRequest

MOST_PROMPTS = 32


class PromptField(fields.Field[tuple[str, ...]]):
    """A text, or several."""

    json_schema: ClassVar[Json] = {
        "anyOf": [
            {"type": "string"},
            {
                "type": "array",
                "items": {"type": "string"},
                "minItems": 1,
                "maxItems": MOST_PROMPTS,
            },
        ]
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> tuple[str, ...]:
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list) or not value:
            raise ValidationError("Not a valid string or array of strings.")
        if not all(isinstance(prompt, str) for prompt in value):
            message = "Arrays of tokens are not supported; send texts."
            raise ValidationError(CodedMessage(message, "unsupported_value"))
        if len(value) > MOST_PROMPTS:
            raise ValidationError(f"Longer than maximum length {MOST_PROMPTS}.")
        return tuple(value)


class CompletionRequestSchema(RequestSchema):
    """The request. PARAMETERS says what its fields mean and how they are treated."""

    parameters = PARAMETERS

    model = model_name()
    prompt = PromptField(required=True)
    stream = StrictBool()
    stream_options = fields.Nested(StreamOptionsSchema)
    max_tokens = StrictInt(validate=Range(1, MAX_INTEGER))
    temperature = StrictFloat(validate=Range(0, 2))
    top_p = StrictFloat(validate=Range(0, 1))
    stop = StopField()
    n = StrictInt(validate=Range(1, MAX_CHOICES))
    echo = StrictBool()
    claude = fields.Nested(ClaudeSchema)
    presence_penalty = StrictFloat(validate=Range(-2, 2))
    frequency_penalty = StrictFloat(validate=Range(-2, 2))
    seed = StrictInt()
    user = fields.String()

    @classmethod
    def extend_json_schema(cls, json_schema: Json) -> Json:
        return PARAMETERS.describe_all(json_schema)

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def check_support(self, _: Any, original: Json, **__: Any) -> None:
        PARAMETERS.refuse_unsupported(original)
        if original.get("stream_options") is not None and original.get("stream") is not True:
            raise ValidationError("Only allowed when stream is true.", "stream_options")

    @validates_schema
    def check_options(self, data: Json, **_: Any) -> None:
        refuse_chat_options(data)

    @post_load
    def build(self, data: Json, **_: Any) -> CompletionRequest:
        prompts: tuple[str, ...] = data["prompt"]
        first, *others = ((ChatMessage("user", (prompt,)),) for prompt in prompts)
        request = TurnRequest(
            first,
            others=tuple(others),
            **claude_fields(data.get("claude", {})),
            user=data.get("user", ""),
            user_param="user",
            model=data.get("model"),
            stream=data.get("stream", False),
            include_usage=data.get("stream_options", {}).get("include_usage") or False,
            max_tokens=data.get("max_tokens"),
            temperature=data.get("temperature"),
            top_p=data.get("top_p"),
            stop=data.get("stop", ()),
            n=data.get("n", 1),
            idle=tuple(PARAMETERS.used(data, Kind.IGNORED)),
        )
        return CompletionRequest(request, prompts if data.get("echo") else ())


COMPLETION_REQUEST = CompletionRequestSchema()
