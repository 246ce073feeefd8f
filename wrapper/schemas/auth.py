"""The response of /auth/status."""

from __future__ import annotations

from marshmallow import fields

from wrapper.schemas.base import (
    BaseSchema,
    describe,
    nullable_text,
    required_object,
    required_text,
)
from wrapper.schemas.trial import TrialSchema


class CliSchema(BaseSchema):
    version = nullable_text()
    path = nullable_text()
    error = nullable_text()
    trials = fields.Dict(
        values=fields.Nested(TrialSchema),
        metadata=describe("By profile, whether this Claude Code does what the gateway relies on."),
    )


class AccountSchema(BaseSchema):
    provider = fields.String()
    subscription = fields.String()
    key_source = fields.String()
    token_source = fields.String()


class AuthStatusSchema(BaseSchema):
    method = required_text()
    reason = required_text()
    billed = fields.String(
        allow_none=True,
        metadata=describe(
            "What pays for turns: subscription, api_key, auth_token, or a cloud such as bedrock or "
            "vertex; null without a login."
        ),
    )
    ready = fields.Boolean(required=True)
    missing = fields.List(
        fields.String(),
        required=True,
        metadata=describe("What is missing, and how to provide it."),
    )
    expires_at = fields.DateTime(
        allow_none=True,
        metadata=describe("When the login ends; null where neither it nor the operator says."),
    )
    warning = fields.String(
        allow_none=True,
        metadata=describe("That the login ends soon, and what to do."),
    )
    cli = required_object(CliSchema)
    account = required_object(AccountSchema)
