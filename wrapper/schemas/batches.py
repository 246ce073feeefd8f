"""The body, the query and the answers of /batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marshmallow import fields, post_load
from marshmallow.validate import Length, OneOf, Range

from wrapper.json_text import Json
from wrapper.schemas.base import (
    BaseSchema,
    ListSchema,
    always,
    describe,
    nullable_text,
    required_count,
    required_text,
)
from wrapper.schemas.files import FILE, ExpirySchema
from wrapper.services.batches.batch import BatchRequest, BatchStatus

ENDPOINTS = ("/v1/responses", "/v1/chat/completions", "/v1/completions", "/v1/messages")
LONGEST_PAGE = 100


class BatchCreateSchema(BaseSchema):
    input_file_id = fields.String(
        required=True,
        validate=Length(1, 128),
        metadata=describe("A file of the purpose batch, with a request in each line."),
    )
    endpoint = fields.String(required=True, validate=OneOf(ENDPOINTS))
    completion_window = fields.String(required=True, validate=OneOf(("24h",)))
    metadata = fields.Dict(
        keys=fields.String(validate=Length(max=64)),
        values=fields.String(validate=Length(max=512)),
        validate=Length(max=16),
        allow_none=True,
        load_default=None,
    )
    output_expires_after = fields.Nested(
        ExpirySchema, metadata=describe("When the result files expire; by default FILES_TTL.")
    )

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> BatchRequest:
        seconds = data.get("output_expires_after", {}).get("seconds")
        return BatchRequest(data["input_file_id"], data["endpoint"], data["metadata"], seconds)


@dataclass(frozen=True)
class BatchPage:
    """At most `limit` batches after the one with the id `after`."""

    limit: int
    after: str | None


class BatchPageSchema(BaseSchema):
    limit = fields.Integer(load_default=20, validate=Range(1, LONGEST_PAGE))
    after = fields.String(metadata=describe("The id of the batch before the page."))

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> BatchPage:
        return BatchPage(data["limit"], data.get("after"))


class BatchErrorSchema(BaseSchema):
    code = nullable_text()
    message = required_text()
    param = nullable_text()
    line = fields.Integer(required=True, allow_none=True)


class BatchErrorsSchema(BaseSchema):
    object = always("list")
    data = fields.List(fields.Nested(BatchErrorSchema), required=True)


class RequestCountsSchema(BaseSchema):
    total = required_count()
    completed = required_count()
    failed = required_count()


class PausedSchema(BaseSchema):
    """Why no line begins."""

    reason = always("insufficient_quota")
    message = required_text()
    since = required_count(metadata=describe("Unix seconds."))


def _time() -> Any:
    return fields.Integer(required=True, allow_none=True, metadata=describe("Unix seconds."))


class BatchSchema(BaseSchema):
    id = required_text()
    object = always("batch")
    endpoint = required_text()
    errors = fields.Nested(
        BatchErrorsSchema,
        required=True,
        allow_none=True,
        metadata=describe("Why the batch as a whole has failed."),
    )
    input_file_id = required_text()
    completion_window = always("24h")
    status = fields.String(required=True, validate=OneOf([*map(str, BatchStatus)]))
    output_file_id = nullable_text(metadata=describe("The file of answers, once all are there."))
    error_file_id = nullable_text(metadata=describe("The file of lines that have failed."))
    created_at = required_count()
    in_progress_at = _time()
    expires_at = required_count()
    finalizing_at = _time()
    completed_at = _time()
    failed_at = _time()
    expired_at = _time()
    cancelling_at = _time()
    cancelled_at = _time()
    request_counts = fields.Nested(RequestCountsSchema, required=True)
    metadata = fields.Dict(
        required=True, allow_none=True, keys=fields.String(), values=fields.String()
    )
    paused = fields.Nested(
        PausedSchema,
        required=True,
        allow_none=True,
        metadata=describe("Why the batch waits, beside other work: the key's budget is used up."),
    )


class BatchListSchema(ListSchema):
    data = fields.List(fields.Nested(BatchSchema), required=True)


BATCH_CREATE = BatchCreateSchema()
BATCH_PAGE = BatchPageSchema()

_BEGAN = 1_796_040_100
BATCH: Json = {
    "id": "batch_5d1f8e7a2c9b4f60a1d3e5f708192a3b",
    "object": "batch",
    "endpoint": "/v1/responses",
    "errors": None,
    "input_file_id": FILE["id"],
    "completion_window": "24h",
    "status": "completed",
    "output_file_id": "file-2b7c9d1e3f5a4860b2c4d6e8f0a1b3c5",
    "error_file_id": None,
    "created_at": _BEGAN,
    "in_progress_at": _BEGAN + 1,
    "expires_at": _BEGAN + 86_400,
    "finalizing_at": _BEGAN + 60,
    "completed_at": _BEGAN + 61,
    "failed_at": None,
    "expired_at": None,
    "cancelling_at": None,
    "cancelled_at": None,
    "request_counts": {"total": 100, "completed": 100, "failed": 0},
    "metadata": {"run": "evening"},
    "paused": None,
}
BATCHES: Json = {
    "object": "list",
    "data": [BATCH],
    "first_id": BATCH["id"],
    "last_id": BATCH["id"],
    "has_more": False,
}
CREATES: dict[str, Json] = {
    "responses": {
        "input_file_id": FILE["id"],
        "endpoint": "/v1/responses",
        "completion_window": "24h",
        "metadata": {"run": "evening"},
    }
}
