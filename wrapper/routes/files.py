"""The routes of the caller's files."""

from __future__ import annotations

from flask import Blueprint, Response, request
from werkzeug.datastructures import Range

from wrapper.errors import RangeNotSatisfiable
from wrapper.json_text import Json
from wrapper.routes.context import current_gateway, principal
from wrapper.routes.headers import COMMON, CONTENT_RANGE
from wrapper.routes.json_response import reply
from wrapper.routes.multipart import Form
from wrapper.routes.operation import operation
from wrapper.routes.pages import page_of
from wrapper.schemas import files as schemas
from wrapper.schemas.base import load_data
from wrapper.services.files.file import StoredFile
from wrapper.services.files.service import FORM_BYTES, FileService

BINARY_TYPE = "application/octet-stream"

files = Blueprint("files", __name__)


@files.post("/files")
@operation(
    form=schemas.FILE_UPLOAD,
    examples=schemas.UPLOADS,
    answers={200: schemas.FileSchema},
    answer=schemas.FILE,
    errors=(408, 429, 503, 507),
)
def create_file() -> Response:
    """Store a file.

    It is kept until `expires_at`: for FILES_TTL, or for the shorter time of `expires_after`.
    """
    service = _service()
    with service.upload(principal().name, request.content_length) as upload:
        form = Form("file", upload.write)
        form.read(service.most + FORM_BYTES)
        name = {} if form.filename is None else {"file": form.filename}
        asked: schemas.FileUpload = load_data(schemas.FILE_UPLOAD, {**form.fields, **name})
        seconds = min(service.ttl, asked.seconds or service.ttl)
        return reply(_body(upload.finish(asked.name, asked.purpose, seconds)))


@files.get("/files")
@operation(
    query=schemas.FilePageSchema,
    answers={200: schemas.FileListSchema},
    answer=schemas.FILES,
    errors=(503, 507),
)
def list_files() -> Response:
    """List the caller's files, the newest first."""
    page: schemas.FilePage = load_data(schemas.FILE_PAGE, request.args.to_dict())
    found = _service().list(principal().name)
    ordered = found if page.order == "asc" else found[::-1]
    bodies = [_body(file) for file in ordered if page.purpose in (None, file.purpose)]
    return reply(page_of(bodies, page.after, page.limit))


@files.get("/files/<file_id>")
@operation(answers={200: schemas.FileSchema}, answer=schemas.FILE, errors=(503, 507))
def read_file(file_id: str) -> Response:
    """Return what is known of a file."""
    return reply(_body(_service().find(principal().name, file_id)))


@files.delete("/files/<file_id>")
@operation(answers={200: schemas.FileDeletedSchema}, answer=schemas.FILE_DELETED, errors=(503, 507))
def delete_file(file_id: str) -> Response:
    """Delete a file."""
    _service().delete(principal().name, file_id)
    return reply({"id": file_id, "object": "file", "deleted": True})


@files.get("/files/<file_id>/content")
@operation(
    binary="The content of the file, or the part that the header Range asks for.",
    answer=schemas.CONTENT,
    errors=(416, 503, 507),
    headers={
        "Accept-Ranges": "bytes: parts can be asked for.",
        "Content-Disposition": "attachment: a browser does not show it.",
        CONTENT_RANGE: COMMON[CONTENT_RANGE],
    },
)
def read_content(file_id: str) -> Response:
    """Return the content of a file."""
    service = _service()
    return content_response(service, service.find(principal().name, file_id))


def content_response(service: FileService, file: StoredFile) -> Response:
    """Return the content of *file*, or the part of it that the request asks for."""
    start, stop, headers = _asked_part(file.size)
    response = Response(service.read(file, start, stop), 206 if headers else 200, headers)
    response.mimetype = BINARY_TYPE
    response.content_length = stop - start
    response.accept_ranges = "bytes"
    # Without the file's name, which others may have chosen.
    response.headers["Content-Disposition"] = "attachment"
    return response


def _asked_part(size: int) -> tuple[int, int, dict[str, str]]:
    """Return where the part begins and ends that the request asks for, and its headers.

    A Range that is not understood, or of several parts, asks for everything.
    """
    asked = request.range
    if asked is None or asked.units != "bytes" or len(asked.ranges) > 1:
        return 0, size, {}
    # A number of last bytes, which is negative here, may be more than there are.
    start, stop = asked.ranges[0]
    part = Range("bytes", [(max(start, -size), stop)]).range_for_length(size)
    if part is None:
        raise RangeNotSatisfiable(
            f"The content has {size} bytes, and none of those that the header Range asks for.",
            headers={CONTENT_RANGE: f"bytes */{size}"},
        )
    return *part, {CONTENT_RANGE: f"bytes {part[0]}-{part[1] - 1}/{size}"}


def _service() -> FileService:
    service: FileService = current_gateway().stores.files
    return service


def _body(file: StoredFile) -> Json:
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.size,
        "created_at": file.created_at,
        "expires_at": file.expires_at,
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed",
    }
