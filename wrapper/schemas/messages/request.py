"""The request of Anthropic's Messages API: each field is passed on, handled, or refused by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from marshmallow import ValidationError, fields, post_load, validates_schema
from marshmallow.validate import Equal, OneOf, Range

from wrapper.json_text import Json
from wrapper.json_text.precision import changes, is_suspect, write_exact
from wrapper.schemas.base import MAX_INTEGER, StrictBool, StrictFloat, StrictInt, model_name
from wrapper.schemas.messages.conversation import (
    ContentField,
    MessagesField,
    ToolsField,
    server_tools,
)
from wrapper.schemas.messages.parameters import PARAMETERS
from wrapper.schemas.request import RequestSchema
from wrapper.services.request import TurnRequest


class MessageRequestSchema(RequestSchema):
    """The request. PARAMETERS says what its fields mean and how they are treated."""

    parameters = PARAMETERS

    model = model_name(required=True)
    max_tokens = StrictInt(required=True, validate=Range(1, MAX_INTEGER))
    messages = MessagesField(required=True)
    system = ContentField()
    stream = StrictBool()
    tools = ToolsField()
    tool_choice = fields.Dict()
    thinking = fields.Dict()
    output_config = fields.Dict()
    temperature = StrictFloat()
    top_p = StrictFloat()
    top_k = StrictInt()
    stop_sequences = fields.List(fields.String())
    metadata = fields.Dict()
    context_management = fields.Dict()
    cache_control = fields.Dict()
    inference_geo = fields.String()
    service_tier = fields.String(validate=OneOf(("auto", "standard_only")))
    speed = fields.String(validate=Equal("standard"))

    @classmethod
    def extend_json_schema(cls, json_schema: Json) -> Json:
        return {**PARAMETERS.describe_all(json_schema), "additionalProperties": False}

    def with_dropped(self, request: TurnRequest, dropped: tuple[str, ...]) -> TurnRequest:
        if not dropped:
            return request
        body = {name: value for name, value in (request.body or {}).items() if name not in dropped}
        return replace(request, dropped=dropped, body=body)

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def check_support(self, _: Any, original: Json, **__: Any) -> None:
        PARAMETERS.refuse_unsupported(original)
        for name in original:
            if name not in PARAMETERS:
                raise ValidationError("Extra inputs are not permitted.", name[:100])

    @post_load(pass_original=True)
    def build(self, data: Json, original: Json, **_: Any) -> TurnRequest:
        # As it came, and not as it was loaded: the model's API gets every value unchanged.
        body = {name: original[name] for name in data}
        return TurnRequest(
            (),
            profile="plain",
            model=data["model"],
            stream=data.get("stream", False),
            body=body,
            server_tools=server_tools(data.get("tools", [])),
            user=_user(data),
            user_param="metadata.user_id",
            adapted=tuple(_changed(body)),
        )


def _user(data: Json) -> str:
    user = data.get("metadata", {}).get("user_id")
    return user if isinstance(user, str) else ""


def _changed(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield the fields with values that Claude Code, written in JavaScript, changes."""
    for name, value in body.items():
        if is_suspect(write_exact(value)) and changes(value):
            yield name


MESSAGE_REQUEST = MessageRequestSchema()
