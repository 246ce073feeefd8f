"""Claude Code's own knobs, which OpenAI does not have."""

from __future__ import annotations

from marshmallow import RAISE, fields
from marshmallow.validate import OneOf, Range

from wrapper.schemas.base import MAX_INTEGER, BaseSchema, StrictBool, StrictInt, means
from wrapper.settings import PERMISSION_MODES


class ClaudeSchema(BaseSchema):
    """An unknown one is a mistake."""

    class Meta:
        unknown = RAISE

    profile = fields.String(
        allow_none=True,
        validate=OneOf(("agent", "plain")),
        metadata=means("agent has Claude Code's tools, plain has none."),
    )
    system_prompt_mode = fields.String(
        allow_none=True,
        validate=OneOf(("replace", "append")),
        metadata=means("Whether system messages stand in for Claude Code's own, or after it."),
    )
    prefill = StrictBool(
        allow_none=True,
        metadata=means("Lets the last message be the assistant's, for the model to go on from."),
    )
    compact = StrictBool(
        allow_none=True,
        metadata=means("Lets a session that is too long for the model go on from a summary."),
    )
    show_tool_use = StrictBool(
        allow_none=True, metadata=means("Tells of tools at work in reasoning_content.")
    )
    allowed_tools = fields.List(
        fields.String(), allow_none=True, metadata=means("The tools that may be used, of those.")
    )
    disallowed_tools = fields.List(
        fields.String(), allow_none=True, metadata=means("Permission rules that deny.")
    )
    permission_mode = fields.String(
        allow_none=True,
        validate=OneOf(PERMISSION_MODES),
        metadata=means("How much tools may do unasked; no wider than the gateway's own."),
    )
    max_turns = StrictInt(
        allow_none=True,
        validate=Range(1, MAX_INTEGER),
        metadata=means("Rounds of tool use; the answer then ends with finish_reason length."),
    )
