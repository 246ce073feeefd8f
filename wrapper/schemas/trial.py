"""What the trial of a Claude Code has found."""

from __future__ import annotations

from marshmallow import fields
from marshmallow.validate import OneOf

from wrapper.schemas.base import BaseSchema, describe, required_text


class TrialSchema(BaseSchema):
    status = required_text(validate=OneOf(("running", "passed", "failed")))
    failed = fields.Dict(
        values=fields.String(),
        required=True,
        metadata=describe("The checks that Claude Code fails, and what it does instead."),
    )
