"""The caller's batches, or for admins those of all keys: follow, read and cancel them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from wrapper.console import live
from wrapper.console.listed import key_of, list_query, owner_of
from wrapper.console.page import show as show_template
from wrapper.console.page import wants_part
from wrapper.routes.context import current_gateway, principal
from wrapper.services.batches.batch import ENDED
from wrapper.services.batches.service import BatchService
from wrapper.services.batches.view import BatchView

LONGEST_ID = 256
# Batches on one page of the list, which is read again while it is open.
MOST = 20
FILES = {"input": "Input", "output": "Output", "error": "Errors"}

batches = Blueprint("batches", __name__, url_prefix="/batches")


@batches.get("")
def show() -> Response:
    """List the batches, the newest first, or those that the query names."""
    part = "_batches.html" if wants_part() else "batches.html"
    return show_template(part, _listed())


@batches.get("/live")
def follow() -> Response:
    """Send the list whenever it changes."""
    return live.stream(lambda: render_template("console/_batch_rows.html", **_listed()))


@batches.get("/batch")
def read() -> Response:
    """Show one batch."""
    return show_template("batch.html", _read(request.args))


@batches.get("/batch/live")
def follow_batch() -> Response:
    """Send one batch whenever it changes."""
    return live.stream(lambda: render_template("console/_batch.html", **_read(request.args)))


@batches.post("/cancel")
def cancel() -> BaseResponse:
    """Cancel one batch, and show where it stands what has become of it."""
    id_ = _id(request.form)
    _service().cancel(owner_of(request.form, "batches"), id_)
    if wants_part():
        if "list" in request.form:
            return show_template("_batch_rows.html", _listed())
        return show_template("_batch.html", _read(request.form))
    return redirect(url_for(".read", id=id_, key=key_of(request.form)), 303)


def _service() -> BatchService:
    service: BatchService = current_gateway().work.batches
    return service


def _id(sent: Mapping[str, str]) -> str:
    return sent.get("id", "").strip()[:LONGEST_ID]


def _listed() -> dict[str, Any]:
    query = list_query(MOST)
    listing = _service().search(principal(), query)
    return {"query": query, "listing": listing, "rows": [_batch(view) for view in listing.rows]}


def _read(sent: Mapping[str, str]) -> dict[str, Any]:
    view = _service().read(owner_of(sent, "batches"), _id(sent))
    return {"batch": _batch(view)}


def _batch(view: BatchView) -> dict[str, Any]:
    """Return a batch as the API shows it, with whose it is and what is left of its window."""
    body, owner = view.body(), view.job.job.owner
    ended = view.status in ENDED
    return {
        **body,
        "owner": owner,
        "key": owner if owner != principal().name else None,
        "ended": ended,
        "stopping": view.status == "cancelling",
        "left": 0 if ended else max(0, body["expires_at"] - time.time()),
        "ended_at": body.get(f"{view.status}_at") if ended else None,
        "counts": body["request_counts"],
        "has_results": any(body[f"{name}_file_id"] for name in ("output", "error")),
        "files": [(title, body[f"{name}_file_id"]) for name, title in FILES.items()],
    }
