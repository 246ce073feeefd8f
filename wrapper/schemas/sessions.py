"""The sessions: their ids, which of them are asked for, and what is told of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from marshmallow import ValidationError, fields, post_load
from marshmallow.validate import Range

from wrapper.schemas.base import BaseSchema, means

LONGEST_ID = 128
# They would mean something else in a path.
TAKEN = (".", "..", "stats")
LONGEST_PAGE = 1000

_ID = re.compile(r"[^/\x00-\x1f\x7f-\x9f]{1,128}")

_count = partial(fields.Integer, required=True, validate=Range(min=0))


class SessionId(fields.String):
    """A session's id, of the client's choice."""

    json_schema: ClassVar[dict[str, Any]] = {
        "type": "string",
        "minLength": 1,
        "maxLength": LONGEST_ID,
        # Not as one pattern for all of it: to Python's $ a line break at the end is nothing.
        "not": {
            "type": "string",
            "anyOf": [{"enum": list(TAKEN)}, {"pattern": r"[/\u0000-\u001f\u007f-\u009f]"}],
        },
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        id_: str = super()._deserialize(value, *args, **kwargs)
        if not _ID.fullmatch(id_) or id_ in TAKEN:
            raise ValidationError(
                f"Must be 1 to {LONGEST_ID} characters, no slash or control character among them, "
                f"and none of {', '.join(TAKEN)}."
            )
        return id_


class SessionPathSchema(BaseSchema):
    session_id = SessionId(required=True)


@dataclass(frozen=True)
class Page:
    """`limit` sessions at most, after the first `offset` ones."""

    limit: int
    offset: int


class PageSchema(BaseSchema):
    limit = fields.Integer(load_default=100, validate=Range(1, LONGEST_PAGE))
    offset = fields.Integer(load_default=0, validate=Range(min=0))

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> Page:
        return Page(**data)


class SessionSchema(BaseSchema):
    session_id = fields.String(required=True)
    created_at = fields.DateTime(required=True)
    last_accessed = fields.DateTime(
        required=True, metadata=means("When its last turn began or ended.")
    )
    message_count = _count()
    expires_at = fields.DateTime(required=True)


class SessionMessagesSchema(SessionSchema):
    messages = fields.List(fields.Dict(keys=fields.String()), required=True)


class SessionListSchema(BaseSchema):
    sessions = fields.List(fields.Nested(SessionSchema), required=True)
    total = _count(metadata=means("How many there are, on all pages."))


class SessionDeletedSchema(BaseSchema):
    session_id = fields.String(required=True)
    deleted = fields.Boolean(required=True)


class SessionStatsSchema(BaseSchema):
    """Of the sessions that there are now."""

    sessions = _count()
    turns = _count()
    prompt_tokens = _count()
    cached_tokens = _count()
    completion_tokens = _count()
    reasoning_tokens = _count()
    total_tokens = _count()
    cost_usd = fields.Float(required=True, validate=Range(min=0))
    oldest = fields.DateTime(required=True, allow_none=True)
    newest = fields.DateTime(required=True, allow_none=True)
    parked_processes = _count(metadata=means("Processes of this worker's that wait for a turn."))
    resumed_turns = _count(metadata=means("Turns that found such a process."))


SESSION_PATH = SessionPathSchema()
PAGE = PageSchema()
