"""The caller's files, or for admins those of all keys: download and delete them."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from wrapper.console.listed import list_query, owner_of
from wrapper.console.page import show as show_template
from wrapper.console.page import wants_part
from wrapper.routes.context import current_gateway, principal
from wrapper.routes.files import content_response
from wrapper.services.files.service import FileService

LONGEST_ID = 256
# Files on one page of the list.
MOST = 50
WHAT = "files"
# Purposes whose files are JSONL.
OF_BATCHES = ("batch", "batch_output")

files = Blueprint("files", __name__, url_prefix="/files")


@files.get("")
def show() -> Response:
    """List the files, the newest first, or those that the query names."""
    query, service = list_query(MOST), _service()
    listing = service.search(principal(), query)
    values = {
        "query": query,
        "listing": listing,
        "taken": service.taken(listing.owner) if listing.owner is not None else None,
        "room": service.room,
    }
    return show_template("_files.html" if wants_part() else "files.html", values)


@files.get("/content")
def download() -> Response:
    """Send a file, which a browser saves under its id, as others may have chosen its name."""
    service = _service()
    file = service.find(owner_of(request.args, WHAT), _id(request.args))
    ending = ".jsonl" if file.purpose in OF_BATCHES else ""
    response = content_response(service, file)
    response.headers["Content-Disposition"] = f'attachment; filename="{file.id}{ending}"'
    return response


@files.post("/delete")
def delete() -> BaseResponse:
    """Delete a file; lines of a batch that has not read them yet fail."""
    _service().delete(owner_of(request.form, WHAT), _id(request.form))
    if wants_part():
        return Response()
    return redirect(url_for(".show"), 303)


def _service() -> FileService:
    service: FileService = current_gateway().stores.files
    return service


def _id(sent: Mapping[str, str]) -> str:
    return sent.get("id", "").strip()[:LONGEST_ID]
