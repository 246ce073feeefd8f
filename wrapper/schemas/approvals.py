"""The body and the responses of /approvals."""

from __future__ import annotations

from typing import Any

from marshmallow import RAISE, ValidationError, fields, post_load, validates_schema
from marshmallow.validate import Length, OneOf

from wrapper.schemas.base import BaseSchema, always, describe, nullable_text, required_text
from wrapper.services.approvals.approval import Decision, Outcome

LONGEST_REASON = 4000
OUTCOMES: dict[str, Outcome] = {"approve": "approved", "deny": "denied"}


class ApprovalDecisionSchema(BaseSchema):
    """A decision. Unknown fields are refused."""

    class Meta:
        unknown = RAISE

    decision = fields.String(
        validate=OneOf(tuple(OUTCOMES)),
        metadata=describe("Whether the tool may run. Answers approve without it."),
    )
    answers = fields.Dict(
        keys=fields.String(),
        metadata=describe("The answers to a question; they must match its answer_schema."),
    )
    scope = fields.String(
        load_default="once",
        validate=OneOf(("once", "session")),
        metadata=describe(
            "session: what session_rule names needs no further approval in this session."
        ),
    )
    reason = fields.String(
        load_default="",
        validate=Length(max=LONGEST_REASON),
        metadata=describe("Why the tool is denied; the model gets this text."),
    )

    @validates_schema
    def check_fit(self, data: dict[str, Any], **_: Any) -> None:
        if "decision" not in data and "answers" not in data:
            raise ValidationError("Missing data for required field.", "decision")
        denies = data.get("decision") == "deny"
        if denies and "answers" in data:
            raise ValidationError("A denial has no answers; leave them out.", "answers")
        if denies and data["scope"] == "session":
            raise ValidationError("Only an approval can hold for the session.", "scope")
        if not denies and data["reason"]:
            raise ValidationError(
                "The model gets no reason for an approval; leave it out.", "reason"
            )

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> Decision:
        outcome = OUTCOMES[data.get("decision", "approve")]
        return Decision(outcome, data["scope"], data["reason"], answers=data.get("answers"))


class ApprovalSchema(BaseSchema):
    """A tool use or a question that waits for its decision, or waited for it."""

    object = always("approval")
    id = required_text()
    status = fields.String(
        required=True, validate=OneOf(("pending", "approved", "denied", "expired", "withdrawn"))
    )
    key = required_text(metadata=describe("The name of the key whose turn asks."))
    session_id = nullable_text()
    response_id = nullable_text(
        metadata=describe(
            "The stored response that has ended with this call; the next request continues it."
        )
    )
    request_id = required_text(metadata=describe("The id of the request whose turn asks."))
    kind = fields.String(
        required=True,
        validate=OneOf(("tool", "question", "elicitation")),
        metadata=describe(
            "question: Claude Code's tool AskUserQuestion asks; elicitation: an MCP server asks."
        ),
    )
    tool = required_text(metadata=describe("The tool, or the MCP server as rules name it."))
    input = fields.Dict(keys=fields.String(), required=True)
    preview = required_text(
        metadata=describe("What would run: the command, or the change of a file as a diff.")
    )
    answer_schema = fields.Dict(
        required=True,
        allow_none=True,
        metadata=describe("The JSON Schema of the answers; null where none are asked for."),
    )
    session_rule = nullable_text(
        metadata=describe("What an approval for the session covers; null without a session.")
    )
    created_at = fields.DateTime(required=True)
    expires_at = fields.DateTime(required=True, metadata=describe("When it is denied."))
    scope = fields.String(required=True, allow_none=True, validate=OneOf(("once", "session")))
    reason = nullable_text()
    decided_by = nullable_text(metadata=describe("The name of the key that decided."))


class ApprovalListSchema(BaseSchema):
    object = always("list")
    data = fields.List(fields.Nested(ApprovalSchema), required=True)


APPROVAL_DECISION = ApprovalDecisionSchema()
