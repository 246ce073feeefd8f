"""The routes of the caller's batches."""

from __future__ import annotations

from contextlib import suppress

from flask import Blueprint, Response, request

from wrapper.errors import BatchNotFound
from wrapper.json_text import Json
from wrapper.routes.context import current_gateway, principal
from wrapper.routes.json_body import load
from wrapper.routes.json_response import reply
from wrapper.routes.operation import operation
from wrapper.routes.pages import page_of
from wrapper.schemas import batches as schemas
from wrapper.schemas.base import load_data
from wrapper.services.batches.service import BatchService

batches = Blueprint("batches", __name__)


@batches.post("/batches")
@operation(
    body=schemas.BATCH_CREATE,
    examples=schemas.CREATES,
    answers={200: schemas.BatchSchema},
    answer=schemas.BATCH,
    errors=(404, 429, 503, 507),
)
def create_batch() -> Response:
    """Begin a batch: the requests in the lines of a file run in the background."""
    asked = load(schemas.BATCH_CREATE)
    return reply(_service().create(principal().name, asked).body())


@batches.get("/batches")
@operation(
    query=schemas.BatchPageSchema,
    answers={200: schemas.BatchListSchema},
    answer=schemas.BATCHES,
    errors=(503,),
)
def list_batches() -> Response:
    """List the caller's batches, the newest first."""
    page: schemas.BatchPage = load_data(schemas.BATCH_PAGE, request.args.to_dict())
    service, owner = _service(), principal().name
    listed = page_of([{"id": id_} for id_ in service.ids(owner)], page.after, page.limit)
    bodies: list[Json] = []
    for item in listed["data"]:
        with suppress(BatchNotFound):  # it has just expired
            bodies.append(service.read(owner, item["id"]).body())
    return reply({**listed, "data": bodies})


@batches.get("/batches/<batch_id>")
@operation(answers={200: schemas.BatchSchema}, answer=schemas.BATCH, errors=(503,))
def read_batch(batch_id: str) -> Response:
    """Return a batch and its progress."""
    return reply(_service().read(principal().name, batch_id).body())


@batches.post("/batches/<batch_id>/cancel")
@operation(answers={200: schemas.BatchSchema}, answer=schemas.BATCH, errors=(409, 503))
def cancel_batch(batch_id: str) -> Response:
    """Cancel a batch. Its lines that run end within a second; answers so far are kept."""
    return reply(_service().cancel(principal().name, batch_id).body())


def _service() -> BatchService:
    service: BatchService = current_gateway().work.batches
    return service
