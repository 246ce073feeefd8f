"""The response of /limits."""

from __future__ import annotations

from functools import partial

from marshmallow import fields
from marshmallow.validate import OneOf, Range

from wrapper.schemas.base import (
    BaseSchema,
    always,
    describe,
    nullable_text,
    required_count,
    required_object,
    required_text,
)
from wrapper.schemas.usage import BudgetSchema

_time = partial(fields.DateTime, required=True, allow_none=True)


class _StatusSchema(BaseSchema):
    status = fields.String(
        required=True,
        allow_none=True,
        validate=OneOf(("allowed", "allowed_warning", "rejected")),
    )
    learned_at = _time(metadata=describe("When the provider said so."))


class WindowSchema(_StatusSchema):
    name = required_text(metadata=describe("Such as five_hour or seven_day."))
    model = nullable_text(metadata=describe("The models that it counts; null for all."))
    used = fields.Float(
        required=True,
        allow_none=True,
        validate=Range(min=0),
        metadata=describe("The part of the limit that is used; it may exceed 1."),
    )
    resets_at = _time()


class OverageSchema(_StatusSchema):
    in_use = fields.Boolean(required=True, allow_none=True)
    disabled_reason = nullable_text()
    resets_at = _time()


class LoginLimitsSchema(_StatusSchema):
    login = required_text(
        metadata=describe("A name of the gateway's login that shows nothing of it.")
    )
    windows = fields.List(fields.Nested(WindowSchema), required=True)
    overage = fields.Nested(
        OverageSchema,
        required=True,
        allow_none=True,
        metadata=describe("Use beyond the limits, which is paid for apart."),
    )


class RateSchema(BaseSchema):
    what = fields.String(required=True, validate=OneOf(("requests", "tokens")))
    limit = required_count(metadata=describe("So many a minute."))
    remains = required_count()
    resets_in_seconds = required_count()


class KeyLimitsSchema(BaseSchema):
    name = required_text()
    rates = fields.List(fields.Nested(RateSchema), required=True)
    budgets = fields.Dict(
        keys=fields.String(validate=OneOf(("usd_per_day", "usd_per_month"))),
        values=fields.Nested(BudgetSchema),
        required=True,
    )


class LimitsSchema(BaseSchema):
    object = always("limits")
    logins = fields.List(fields.Nested(LoginLimitsSchema), required=True)
    key = required_object(KeyLimitsSchema, metadata=describe("The caller's own."))
