"""The queries and responses of /models, which have the fields of OpenAI's API and Anthropic's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marshmallow import fields, post_load
from marshmallow.validate import Range

from wrapper.schemas.base import (
    BaseSchema,
    always,
    describe,
    nullable_text,
    required_object,
    required_text,
    unix_seconds,
)

LONGEST_PAGE = 1000


@dataclass(frozen=True)
class ModelPage:
    """At most `limit` models, after the one named `after_id` and before the one of `before_id`."""

    limit: int | None = None
    after_id: str | None = None
    before_id: str | None = None


class ModelPageSchema(BaseSchema):
    limit = fields.Integer(
        validate=Range(1, LONGEST_PAGE), metadata=describe("Without it, all models are listed.")
    )
    after_id = fields.String(metadata=describe("List the models that follow this one."))
    before_id = fields.String(metadata=describe("List the models that precede this one."))

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> ModelPage:
        return ModelPage(**data)


MODEL_PAGE = ModelPageSchema()


class CapabilitiesSchema(BaseSchema):
    temperature = fields.Boolean(required=True)
    top_p = fields.Boolean(required=True)
    reasoning_effort = fields.Boolean(required=True)
    effort_levels = fields.Boolean(
        required=True,
        metadata=describe("Whether Claude Code sends an effort, and not a thinking budget for it."),
    )
    thinking_off = fields.Boolean(
        required=True, metadata=describe("Whether reasoning_effort may be none.")
    )
    max_output_tokens = fields.Integer(
        required=True, metadata=describe("The largest max_tokens that the model takes.")
    )


class ModelSchema(BaseSchema):
    id = required_text()
    object = always("model")
    created = unix_seconds()
    type = always("model")
    created_at = fields.DateTime(
        required=True, metadata=describe("The same time; 1970-01-01T00:00:00Z if unknown.")
    )
    owned_by = always("anthropic")
    runs = required_text(metadata=describe("The model that this name stands for."))
    name = required_text(metadata=describe("A name to show to people."))
    display_name = required_text()
    min_claude_code_version = nullable_text(
        metadata=describe(
            "The Claude Code that the model needs, where the gateway's is too old; requests for it "
            "get a 404. Null where that is not so, or not known."
        )
    )
    supports = required_object(
        CapabilitiesSchema,
        metadata=describe("The parameters that have an effect; others are ignored."),
    )


class ModelListSchema(BaseSchema):
    object = always("list")
    data = fields.List(fields.Nested(ModelSchema), required=True)
    has_more = fields.Boolean(
        required=True,
        metadata=describe("Whether `limit` has left out models; with before_id, earlier ones."),
    )
    first_id = nullable_text(metadata=describe("The id of the first model in `data`."))
    last_id = nullable_text(metadata=describe("The id of the last model in `data`."))
