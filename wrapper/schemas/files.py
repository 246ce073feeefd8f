"""The form, the query and the answers of /files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marshmallow import ValidationError, fields, post_load, pre_load
from marshmallow.validate import Length, OneOf, Range

from wrapper.json_text import Json
from wrapper.schemas.base import (
    BaseSchema,
    ListSchema,
    always,
    describe,
    required_count,
    required_text,
)

PURPOSES = ("assistants", "batch", "evals", "fine-tune", "user_data", "vision")
# What only the gateway writes.
BATCH_OUTPUT = "batch_output"
LONGEST_NAME = 255
LONGEST_PAGE = 10_000
SHORTEST_LIFE, LONGEST_LIFE = 3600, 2_592_000


@dataclass(frozen=True)
class FileUpload:
    """What a form says of its file. `seconds` is its life, if the form names one."""

    name: str
    purpose: str
    seconds: int | None


class ExpirySchema(BaseSchema):
    """When a file expires."""

    anchor = fields.String(required=True, validate=OneOf(("created_at",)))
    seconds = fields.Integer(required=True, validate=Range(SHORTEST_LIFE, LONGEST_LIFE))


class FileUploadSchema(BaseSchema):
    """The form of an upload. `expires_after` is sent as expires_after[anchor] and [seconds]."""

    file = fields.String(
        required=True,
        validate=Length(1, LONGEST_NAME),
        metadata=describe("The file's content; its name has up to 255 characters."),
    )
    purpose = fields.String(required=True, validate=OneOf(PURPOSES))
    expires_after = fields.Nested(ExpirySchema)

    @classmethod
    def extend_json_schema(cls, json_schema: dict[str, Any]) -> dict[str, Any]:
        file = {"type": "string", "contentMediaType": "application/octet-stream"}
        file["description"] = json_schema["properties"]["file"]["description"]
        return {**json_schema, "properties": {**json_schema["properties"], "file": file}}

    @pre_load
    def nest(self, data: dict[str, str], **_: Any) -> dict[str, Any]:
        """Return the form's fields with those of `expires_after` in an object."""
        names = {f"expires_after[{name}]": name for name in ("anchor", "seconds")}
        flat = {name: value for name, value in data.items() if name not in names}
        expiry = {names[name]: value for name, value in data.items() if name in names}
        return {**flat, "expires_after": expiry} if expiry else flat

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> FileUpload:
        name: str = data["file"]
        if not name.isprintable():
            raise ValidationError("The name has characters that cannot be printed.", "file")
        seconds = data.get("expires_after", {}).get("seconds")
        return FileUpload(name, data["purpose"], seconds)


@dataclass(frozen=True)
class FilePage:
    """At most `limit` files after the one with the id `after`, in an `order`, of a `purpose`."""

    limit: int
    order: str
    after: str | None
    purpose: str | None


class FilePageSchema(BaseSchema):
    limit = fields.Integer(load_default=LONGEST_PAGE, validate=Range(1, LONGEST_PAGE))
    order = fields.String(load_default="desc", validate=OneOf(("asc", "desc")))
    after = fields.String(metadata=describe("The id of the file before the page."))
    purpose = fields.String(metadata=describe("Only files of this purpose."))

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> FilePage:
        return FilePage(data["limit"], data["order"], data.get("after"), data.get("purpose"))


class FileSchema(BaseSchema):
    id = required_text()
    object = always("file")
    bytes = required_count()
    created_at = required_count()
    expires_at = required_count(metadata=describe("Unix seconds at which it is deleted."))
    filename = required_text()
    purpose = fields.String(required=True, validate=OneOf((*PURPOSES, BATCH_OUTPUT)))
    status = always("processed")


class FileListSchema(ListSchema):
    data = fields.List(fields.Nested(FileSchema), required=True)


class FileDeletedSchema(BaseSchema):
    id = required_text()
    object = always("file")
    deleted = fields.Boolean(required=True)


FILE_UPLOAD = FileUploadSchema()
FILE_PAGE = FilePageSchema()

_MONTH = 2_592_000
FILE: Json = {
    "id": "file-9f2c31d8a4b04f7d8f6a1c2b3d4e5f60",
    "object": "file",
    "bytes": 27_340,
    "created_at": 1_796_040_000,
    "expires_at": 1_796_040_000 + _MONTH,
    "filename": "questions.jsonl",
    "purpose": "batch",
    "status": "processed",
}
FILES: Json = {
    "object": "list",
    "data": [FILE],
    "first_id": FILE["id"],
    "last_id": FILE["id"],
    "has_more": False,
}
FILE_DELETED: Json = {"id": FILE["id"], "object": "file", "deleted": True}
CONTENT = '{"custom_id": "1", "method": "POST", "url": "/v1/responses", "body": {"input": "Hi"}}\n'
UPLOADS: dict[str, Json] = {"a batch's requests": {"file": CONTENT, "purpose": "batch"}}
