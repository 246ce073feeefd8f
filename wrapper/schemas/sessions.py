"""A session's id, and the queries and responses of /sessions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from marshmallow import ValidationError, fields, post_load
from marshmallow.validate import Range

from wrapper.schemas.base import BaseSchema, describe, required_count, required_text

LONGEST_ID = 128
# These have another meaning in a path.
RESERVED_IDS = (".", "..", "stats")
LONGEST_PAGE = 1000

_ID = re.compile(r"[^/\x00-\x1f\x7f-\x9f]{1,128}")


class SessionIdField(fields.String):
    """A session's id, which the client chooses."""

    json_schema: ClassVar[dict[str, Any]] = {
        "type": "string",
        "minLength": 1,
        "maxLength": LONGEST_ID,
        # One pattern for everything would not do: Python's $ also matches before a final newline.
        "not": {
            "type": "string",
            "anyOf": [{"enum": list(RESERVED_IDS)}, {"pattern": r"[/\u0000-\u001f\u007f-\u009f]"}],
        },
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        id_: str = super()._deserialize(value, *args, **kwargs)
        if not _ID.fullmatch(id_) or id_ in RESERVED_IDS:
            raise ValidationError(
                f"Must be 1 to {LONGEST_ID} characters without slashes and control characters, "
                f"and none of {', '.join(RESERVED_IDS)}."
            )
        return id_


class SessionPathSchema(BaseSchema):
    session_id = SessionIdField(required=True)


@dataclass(frozen=True)
class Page:
    """At most `limit` sessions, after the first `offset` ones."""

    limit: int
    offset: int


class PageSchema(BaseSchema):
    limit = fields.Integer(load_default=100, validate=Range(1, LONGEST_PAGE))
    offset = fields.Integer(load_default=0, validate=Range(min=0))

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> Page:
        return Page(**data)


class SessionSchema(BaseSchema):
    session_id = required_text()
    created_at = fields.DateTime(required=True)
    last_accessed = fields.DateTime(
        required=True, metadata=describe("When its last turn began or ended.")
    )
    message_count = required_count()
    expires_at = fields.DateTime(required=True)


class SessionMessagesSchema(SessionSchema):
    messages = fields.List(fields.Dict(keys=fields.String()), required=True)


class SessionListSchema(BaseSchema):
    sessions = fields.List(fields.Nested(SessionSchema), required=True)
    total = required_count(metadata=describe("The number of sessions on all pages."))


class SessionDeletedSchema(BaseSchema):
    session_id = required_text()
    deleted = fields.Boolean(required=True)


class SessionStatsSchema(BaseSchema):
    """Statistics of the sessions that exist now."""

    sessions = required_count()
    turns = required_count()
    prompt_tokens = required_count()
    cached_tokens = required_count()
    completion_tokens = required_count()
    reasoning_tokens = required_count()
    total_tokens = required_count()
    cost_usd = fields.Float(required=True, validate=Range(min=0))
    oldest = fields.DateTime(required=True, allow_none=True)
    newest = fields.DateTime(required=True, allow_none=True)
    parked_processes = required_count(
        metadata=describe("Processes of this worker that wait for a session's next turn.")
    )
    resumed_turns = required_count(metadata=describe("Turns that used such a process."))


SESSION_PATH = SessionPathSchema()
PAGE = PageSchema()
